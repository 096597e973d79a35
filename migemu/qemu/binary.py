"""Where a QEMU is and how it is started.

A QEMU installed by the system is started as it is. One unpacked into a folder (tests/qemu/get-qemu.sh) brings
its own libraries along and is started by its own dynamic loader, so that neither a chroot nor an installation
is needed and the machine's own libraries do not matter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from migemu.errors import UsageError
from migemu.qemu.board import BOARDS, Board, board_of
from migemu.qemu.shim import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM: Final = "qemu-system-x86_64"
"""What is looked for where nobody names one."""

PROGRAMS: Final = (PROGRAM, *(f"qemu-system-{target}" for target in BOARDS if not PROGRAM.endswith(target)))
"""What a folder may hold; the first that is there is meant."""

VFIO_MULTIFD: Final = (10, 0)
"""The first QEMU with VFIO device state over multifd."""

VERSION_LIMIT: Final = 20.0
"""Seconds ``--version`` may take."""

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Launcher:
    """One QEMU program and how to start it."""

    program: Path
    """The program itself."""
    version: Version
    """For example (10, 0, 13)."""
    loader: Path | None = None
    """Its own dynamic loader, for a QEMU in a folder; None: the machine's."""
    libraries: tuple[Path, ...] = ()
    """Where that loader looks for libraries."""
    firmware: tuple[Path, ...] = ()
    """Where the machine finds its BIOS (``-L``)."""

    def command(self, arguments: Sequence[str], preload: Path | None = None) -> list[str]:
        """The command line that starts it with `arguments` and `preload` loaded before all libraries."""
        firmware = [word for folder in self.firmware for word in ("-L", str(folder))]
        if self.loader is None:
            return [str(self.program), *firmware, *arguments]
        path = ":".join(map(str, self.libraries))
        before = ["--preload", str(preload)] if preload else []
        return [str(self.loader), "--library-path", path, *before, str(self.program), *firmware, *arguments]

    def environment(self, preload: Path | None = None) -> dict[str, str]:
        """The environment to start it in."""
        variables = dict(os.environ)
        if self.loader is not None:  # else it would load the modules of the machine's own QEMU
            variables["QEMU_MODULE_DIR"] = str(self.libraries[0] / "qemu")
        if preload is not None and self.loader is None:
            others = variables.get("LD_PRELOAD")
            variables["LD_PRELOAD"] = f"{preload}:{others}" if others else str(preload)
        return variables

    @property
    def board(self) -> Board:
        """The machine of its target."""
        return board_of(self.program.name)

    @property
    def version_text(self) -> str:
        """For people: ``10.0.13``."""
        return ".".join(map(str, self.version))


def default_folder() -> Path:
    """Where tests/qemu/get-qemu.sh puts its QEMU: ``$MIGEMU_QEMU_DIR``, else in the cache."""
    named = os.environ.get("MIGEMU_QEMU_DIR")
    return Path(named) if named else cache_folder() / "qemu-10"


def launcher(path: Path) -> Launcher:
    """How to start the QEMU at `path`: its program, or a folder that one was unpacked into.

    Raises:
        UsageError: there is none, or it does not start.
    """
    program = _inside(path) if path.is_dir() else path
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise UsageError(f"no QEMU program at {program}")
    # Not resolved: the program may be a link into a folder that is another root.
    root = program.absolute().parent.parent.parent
    found = next(iter(sorted(root.glob("usr/lib/*/ld-linux-*.so.*"))), None)
    if root == Path("/") or found is None:
        return Launcher(program, _version([str(program)]))
    libraries = (found.parent, root / "usr/lib")
    shares = (root / "usr/share/qemu", root / "usr/share/seabios")
    command = [str(found), "--library-path", ":".join(map(str, libraries)), str(program)]
    return Launcher(program, _version(command), found, libraries, tuple(s for s in shares if s.is_dir()))


def _inside(folder: Path) -> Path:
    """The program of a folder that a QEMU was unpacked into."""
    places = [folder / "usr/bin" / name for name in PROGRAMS]
    return next((place for place in places if place.exists()), places[0])


def _version(command: list[str]) -> Version:
    try:
        asked = subprocess.run(  # noqa: S603  # the program the user named
            [*command, "--version"], capture_output=True, text=True, timeout=VERSION_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{command[-1]} does not start: {error}") from error
    said = re.search(r"version (\d+)\.(\d+)\.(\d+)", asked.stdout)
    if said is None:
        said_first = asked.stdout.strip().splitlines()[:1]  # another program's own name
        why = asked.stderr.strip().splitlines()[-1:] or said_first or ["it said nothing"]
        raise UsageError(f"{command[-1]} is not a QEMU that starts here: {why[0]}")
    return tuple(map(int, said.groups()))


def find_all(program: str = PROGRAM) -> list[Launcher]:
    """Every QEMU of one target in the usual places, newest first."""
    found = []
    for path in _places(program):
        try:
            found.append(launcher(path))
        except UsageError:  # what does not start is not found; `qemu doctor` asks each place by itself
            continue
    return sorted(found, key=lambda one: one.version, reverse=True)


def find_every() -> list[Launcher]:
    """Every QEMU of every target, the PC's first."""
    return [one for program in PROGRAMS for one in find_all(program)]


def _places(program: str) -> Iterator[Path]:
    on_path = shutil.which(program)
    folders = [default_folder(), *sorted(cache_folder().glob("qemu-*"))]
    if on_path:
        yield Path(on_path)
    for folder in dict.fromkeys(folders):
        if (folder / "usr/bin" / program).exists():
            yield folder / "usr/bin" / program


def find(path: str | Path | None = None, at_least: Version = (0,)) -> Launcher:
    """The QEMU to use.

    Args:
        path: a program, or a folder one was unpacked into; None: one on PATH, then in the cache.
        at_least: the oldest version that will do.

    Raises:
        UsageError: none is there, or none is new enough.
    """
    needed = ".".join(map(str, at_least))
    if path is not None:
        named = launcher(Path(path))
        if named.version < at_least:
            raise UsageError(f"{path} is QEMU {named.version_text}, this needs {needed} or newer")
        return named
    found = find_all()
    # On PATH first where that is new enough: it is the one its user knows.
    first = [one for one in found if one.loader is None]
    for one in (*first, *found):
        if one.version >= at_least:
            return one
    have = ", ".join(one.version_text for one in found) or "none"
    wanted = f"no QEMU {needed} or newer (found: {have})" if found else "no QEMU is here"
    raise UsageError(f"{wanted}: name one with --qemu, or run tests/qemu/get-qemu.sh")
