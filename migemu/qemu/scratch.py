"""A folder for what a QEMU leaves behind while it is looked at: its words, its devices' files."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from migemu.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM: Final = 32 << 20
"""Bytes that must be free: logs, and what small devices keep. A write that fails for want of room would be
taken for the QEMU's own failure."""


@contextlib.contextmanager
def scratch(what: str) -> Iterator[Path]:
    """An empty folder that is gone afterwards; `what` is in its name.

    Raises:
        UsageError: it cannot be made, or there is no room for anything in it.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=f"migemu-{what}-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(f"no folder for QEMU's files can be made: {error.strerror} (TMPDIR)") from None
    with made as name:
        check_room(Path(name))
        yield Path(name)


def check_room(folder: Path) -> None:
    """Refuse a folder on a full disk.

    Raises:
        UsageError: it is full.
    """
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        place = "TMPDIR names another place" if folder.parent == Path(tempfile.gettempdir()) else "make room"
        told = f"{free >> 20} MiB are free in {os.fspath(folder.parent)}, {ROOM >> 20} are needed"
        raise UsageError(f"{told}: {place}")
