"""Where a destination device puts what is written to its data fd: a file to keep, or a window of memory."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from typing import TYPE_CHECKING, Final, Protocol

from migemu.errors import ConfigError
from migemu.vfio.content import as_bytes, copy

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.vfio.content import Span

WINDOW: Final = 512 * 1024
"""Bytes of a memory window: small enough that piece, window and digest meet in a core's own cache (4 MiB cost
half as much again a byte), and that 64 devices are 32 MiB."""


class Sink(Protocol):
    """The data fd of a device in RESUMING: takes a stream, possibly only a prefix of each write."""

    def write(self, span: Span) -> int:
        """Take a prefix of `span`; the number of bytes taken.

        Raises:
            OSError: the device failed.
        """
        ...

    def commit(self) -> None:
        """All is in and verified: keep it."""
        ...

    def reset(self) -> None:
        """Forget everything written."""
        ...

    def close(self) -> None:
        """Let go of what stands behind it; may be called twice. What was not committed is gone."""
        ...


class MemfdWindow:
    """Memory of a bounded size, mapped from a file: the stream goes round and round in it.

    The bytes really cross into another file's pages, as with a real data fd, yet a device of many GiB costs
    the destination `window` bytes. A write ends at the window's end, so short writes happen by nature. They
    are stored through a mapping: ``pwrite`` looks every single page up and takes twice the time.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._fd = os.memfd_create("vfio-data-fd", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, window)
        mapping = mmap.mmap(self._fd, window, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._pages = memoryview(mapping)
        self._offset = 0

    def write(self, span: Span) -> int:
        """Take what fits before the window's end; the interpreter is let go while much is copied."""
        if self._fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        at = self._offset % len(self._pages)
        taken = as_bytes(span)[: len(self._pages) - at]
        copy(self._pages[at : at + len(taken)], taken)
        self._offset += len(taken)
        return len(taken)

    def commit(self) -> None:
        """Nothing to keep."""

    def reset(self) -> None:
        """Start again at the window's beginning."""
        self._offset = 0

    def close(self) -> None:
        """Give the memory back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._pages = memoryview(b"")


class FileSink:
    """A file that holds the data stream once the migration has been verified, and does not exist otherwise.

    It holds the data stream: without pre-copy the source's image; with it, the pre-copy data before the image
    and what pre-copy left over after it, as the stream of a real data fd does. Where the file system can, the
    file has no name before it is kept, so that not even a process that is killed leaves one behind.

    Raises:
        ConfigError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        try:
            self._fd, self._named = _open_nameless(self._partial)
        except OSError as error:
            raise ConfigError(f"cannot keep the loaded state at {path}: {error.strerror}") from error
        self._offset = 0

    def write(self, span: Span) -> int:
        """Append; a full disk surfaces as the OSError of a real one."""
        count = os.pwrite(self._fd, as_bytes(span), self._offset)
        self._offset += count
        return count

    def commit(self) -> None:
        """Give the file its name."""
        if not self._named:
            with contextlib.suppress(FileNotFoundError):
                self._partial.unlink()
            # With a directory's fd link() follows /proc's link to the file, as linkat(2) asks for.
            folder = os.open(self._path.parent, os.O_PATH | os.O_CLOEXEC)
            try:
                os.link(f"/proc/self/fd/{self._fd}", self._partial, src_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)
        self._partial.replace(self._path)

    def reset(self) -> None:
        """Start again with an empty file."""
        os.ftruncate(self._fd, 0)
        self._offset = 0

    def close(self) -> None:
        """Close; what was not committed goes."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._named:
            with contextlib.suppress(FileNotFoundError):
                self._partial.unlink()


def _open_nameless(path: Path) -> tuple[int, bool]:
    """A file that is to become `path`, and whether it has that name already."""
    try:
        return os.open(path.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600), False
    except OSError:  # not every file system has files without a name
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), True
