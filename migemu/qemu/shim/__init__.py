"""The preloaded stand-in for the kernel's VFIO interface: built at first use from the C files beside it.

The library is kept in the user's cache under a name made of what it was built from, so that a change of the
source, the compiler's flags or the machine's architecture builds another one and an old one is never used.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from migemu.errors import UsageError

SOURCES: Final = Path(__file__).parent
"""Where the C files are."""

FLAGS: Final = ("-std=gnu11", "-O2", "-g", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden")
"""What the compiler is told; nothing that depends on this machine's processor or libc version."""

BUILD_LIMIT: Final = 120.0
"""Seconds the compiler may take."""


def cache_folder() -> Path:
    """Where migemu keeps what it can make again: ``$XDG_CACHE_HOME/migemu`` or ``~/.cache/migemu``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "migemu"


def compiler() -> str | None:
    """The C compiler: ``$CC``, else ``cc`` or ``gcc`` or ``clang`` on PATH; None where there is none."""
    named = os.environ.get("CC")
    return next(
        (found for name in (named, "cc", "gcc", "clang") if name and (found := shutil.which(name))), None
    )


def build(folder: Path | None = None) -> Path:
    """The shim as a shared library, compiled unless the very same one is there already.

    Args:
        folder: where it is kept; by default the user's cache.

    Raises:
        UsageError: there is no compiler, it failed (with its first error), or there is no place to keep it.
    """
    sources = sorted(SOURCES.glob("*.[ch]"))
    library = (folder or cache_folder()) / f"vfio-shim-{_fingerprint(sources)}.so"
    if library.exists():
        return library
    tool = compiler()
    if tool is None:
        raise UsageError("the VFIO shim needs a C compiler: install gcc, or name one in CC")
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        _compile(tool, [path for path in sources if path.suffix == ".c"], library)
    except OSError as error:
        why = f"{error.strerror}; XDG_CACHE_HOME names another place"
        raise UsageError(f"the VFIO shim cannot be kept in {library.parent}: {why}") from None
    return library


def _fingerprint(sources: list[Path]) -> str:
    """A name for what a build is made of."""
    hashed = hashlib.sha256(" ".join((*FLAGS, platform.machine())).encode())
    for path in sources:
        hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:16]


def _compile(tool: str, sources: list[Path], library: Path) -> None:
    """Compile into a file of our own first: two processes may build at the same time."""
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="build-") as folder:
        made = Path(folder) / library.name
        command = [tool, *FLAGS, "-o", str(made), *map(str, sources), "-ldl"]
        try:
            ended = subprocess.run(  # noqa: S603  # the user's own compiler on the package's own files
                command, capture_output=True, text=True, timeout=BUILD_LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"the VFIO shim could not be built with {tool}: {error}") from error
        if ended.returncode:
            lines = [line for line in ended.stderr.splitlines() if "error" in line] or [ended.stderr[-200:]]
            raise UsageError(f"the VFIO shim could not be built with {tool}: {lines[0].strip()}")
        made.replace(library)
