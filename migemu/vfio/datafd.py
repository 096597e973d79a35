"""The data fd of a device: where saved state comes from and where loaded state goes.

Sources give out any part of an image, sinks take a stream. Which one stands behind a device is chosen here:

=========  ===============================================  ====================================
side       a path was given                                 none was given
=========  ===============================================  ====================================
source     :class:`MappedFile`, or :class:`CopiedFile`      :class:`~migemu.vfio.generated.Generated`
sink       :class:`~migemu.vfio.sinks.FileSink` (``keep``)  :class:`~migemu.vfio.sinks.MemfdWindow`
=========  ===============================================  ====================================
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from typing import TYPE_CHECKING, Protocol

from migemu.errors import ConfigError, DeviceError
from migemu.vfio.generated import Generated
from migemu.vfio.sinks import FileSink, MemfdWindow, Sink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from migemu.vfio.content import Payload
    from migemu.wire.buffers import Pool


class Source(Protocol):
    """The image of a source device."""

    @property
    def size(self) -> int:
        """Bytes of the whole image."""
        ...

    def read(self, offset: int, size: int) -> Payload:
        """Exactly `size` bytes from `offset`, which the caller keeps within the image."""
        ...

    def close(self) -> None:
        """Let go of what stands behind it; may be called twice."""
        ...


def open_source(path: Path | None, size: int, seed: int, pool: Pool, *, copy: bool = False) -> Source:
    """The file at `path`, or `size` bytes generated from `seed`.

    Args:
        path: a regular file; its own size counts and `size` is ignored.
        size: bytes to generate without a path.
        seed: of the generated content.
        pool: where copies and generated content are put.
        copy: read the file instead of mapping it: slower by a third, and safe against truncation by others.

    Raises:
        ConfigError: the file cannot be opened or is not a regular file.
    """
    if path is None:
        return Generated(seed, size, pool)
    fd, found = _open_regular(path)
    if not copy and found > 0 and (mapping := _map(fd, found)) is not None:
        return MappedFile(path, fd, mapping)
    return CopiedFile(path, fd, found, pool)


def open_sink(keep: Path | None) -> Sink:
    """A sink that keeps the loaded state at `keep`, or one that holds a bounded window of it.

    Raises:
        ConfigError: `keep` cannot be written.
    """
    return MemfdWindow() if keep is None else FileSink(keep)


def _open_regular(path: Path) -> tuple[int, int]:
    """File descriptor and size of the regular file at `path`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ConfigError(f"cannot read the state file {path}: {error.strerror}") from error
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise ConfigError(f"the state {path} is not a regular file: copy it into one first")
    return fd, found.st_size


def _map(fd: int, size: int) -> mmap.mmap | None:
    """A read-only mapping of the whole file; None where the file system or address space has none."""
    try:
        mapping = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    except (OSError, ValueError):
        return None
    mapping.madvise(mmap.MADV_SEQUENTIAL)
    return mapping


class _File:
    """What mapped and copied files share: a descriptor whose size is checked before every read."""

    def __init__(self, path: Path, fd: int, size: int) -> None:
        self._path = path
        self._fd = fd
        self.size = size

    def _check(self) -> None:
        found = os.fstat(self._fd).st_size
        if found < self.size:
            raise self._shrank(found)

    def _shrank(self, found: int) -> DeviceError:
        return DeviceError(
            f"the state file {self._path} shrank from {self.size} to {found} bytes while it was read; "
            "migrate from a copy that nobody changes"
        )


class MappedPiece:
    """A view of a mapping whose pages leave this process with it; the page cache keeps them.

    Otherwise a process would come to hold all of a file it has read once, however little of it is on its way.
    """

    __slots__ = ("_mapping", "_start", "_view")

    def __init__(self, mapping: mmap.mmap, view: memoryview, start: int) -> None:
        self._mapping: mmap.mmap | None = mapping
        self._view = view
        self._start = start

    @property
    def view(self) -> memoryview:
        """The content."""
        return self._view

    def release(self) -> None:
        """Unmap the pages; those shared with a neighbour are simply mapped again when it needs them."""
        mapping, self._mapping = self._mapping, None
        if mapping is None:
            return
        first = self._start - self._start % mmap.PAGESIZE
        with contextlib.suppress(ValueError):  # the file was closed meanwhile, and all of it is unmapped
            mapping.madvise(mmap.MADV_DONTNEED, first, self._start + len(self._view) - first)


class MappedFile(_File):
    """A file given out as views of one mapping: no copy between page cache and socket.

    Touching a mapped page beyond the end of its file kills the process (SIGBUS), so the size is checked
    before every read and a shrunken file is an error. Only a truncation in the microseconds between that
    check and the digest of the same piece can still kill; a later one surfaces as EFAULT from the socket.
    Where others may truncate the file, open it with ``copy=True``.
    """

    def __init__(self, path: Path, fd: int, mapping: mmap.mmap) -> None:
        super().__init__(path, fd, len(mapping))
        self._mapping = mapping
        self._view = memoryview(mapping)

    def read(self, offset: int, size: int) -> Payload:
        """A view of the mapping; valid until :meth:`close`.

        Raises:
            DeviceError: the file has shrunk.
        """
        self._check()
        return MappedPiece(self._mapping, self._view[offset : offset + size], offset)

    def close(self) -> None:
        """Unmap and close; views still on their way to a socket keep the pages until they are gone."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        self._view.release()
        try:
            self._mapping.close()
        except BufferError:
            del self._mapping


class CopiedFile(_File):
    """A file read into pooled buffers: for files of 0 bytes, without mappings, or truncated by others."""

    def __init__(self, path: Path, fd: int, size: int, pool: Pool) -> None:
        super().__init__(path, fd, size)
        self._pool = pool

    def read(self, offset: int, size: int) -> Payload:
        """A pooled copy.

        Raises:
            DeviceError: the file has shrunk.
        """
        buffer = self._pool.take(size)
        done = 0
        while done < size:
            count = os.preadv(self._fd, _rest(buffer.view, done), offset + done)
            if count == 0:
                buffer.release()
                raise self._shrank(offset + done)
            done += count
        return buffer

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _rest(view: memoryview, done: int) -> Sequence[memoryview]:
    return [view[done:]]
