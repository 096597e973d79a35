"""Guest RAM that this process and a QEMU share, to be filled before a migration and compared after it.

A memfd that QEMU inherits and opens as the file of its memory backend: nothing is written to a disk, nothing
has a path that could be left behind, and what the guest or an incoming migration writes is seen here at once.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from migemu.errors import ConfigError
from migemu.ram.pattern import fill_pages
from migemu.scenario.units import format_size

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

PAGE: Final = 4096
"""Bytes of a guest page."""

_CHUNK: Final = 4096
"""Pages compared at a time: 16 MiB a side."""


class SharedRam:
    """`size` bytes of zeroed memory.

    Args:
        size: bytes, whole pages, more than 0.
        block: QEMU's name of the RAM block.

    Raises:
        ConfigError: the size is not whole pages, or more than there is.
    """

    def __init__(self, size: int, block: str = "pc.ram") -> None:
        if size <= 0 or size % PAGE:
            raise ConfigError(f"guest RAM of {size} bytes is not a positive number of {PAGE}-byte pages")
        if size > (have := os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")):
            raise ConfigError(
                f"guest RAM of {format_size(size)}: this machine has {format_size(have)} in all"
            )
        self.size = size
        self.block = block
        self.fd = os.memfd_create(f"migemu-{block}")
        try:
            os.ftruncate(self.fd, size)
            self._memory = mmap.mmap(self.fd, size)
        except OSError as error:
            os.close(self.fd)
            raise ConfigError(f"guest RAM of {format_size(size)} cannot be had: {error.strerror}") from None
        self.words: npt.NDArray[np.uint64] = np.frombuffer(self._memory, np.uint64).reshape(-1, PAGE // 8)
        """All of it, shape (pages, 512)."""

    def backend(self) -> list[str]:
        """QEMU's option for a memory backend over it; the process must inherit `fd`."""
        path = f"/proc/self/fd/{self.fd}"
        return ["-object", f"memory-backend-file,id={self.block},size={self.size},mem-path={path},share=on"]

    def fill(self, seed: int, zero_fraction: float = 0.2) -> None:
        """Put the content of `seed` into it, about `zero_fraction` of the pages zero."""
        fill_pages(self.words, seed, zero_fraction)

    def load(self, path: Path) -> None:
        """Put a file's bytes at its start.

        Raises:
            ConfigError: it cannot be read, or is longer than the RAM.
        """
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > self.size:
                    raise ConfigError(f"RAM file {path} has {size} bytes, more than the RAM's {self.size}")
                file.readinto(memoryview(self._memory))
        except OSError as error:
            raise ConfigError(f"RAM file {path}: {error.strerror}") from None

    def differing(self, other: SharedRam) -> npt.NDArray[np.int64]:
        """The numbers of the pages that are not equal."""
        found = []
        for first in range(0, len(self.words), _CHUNK):
            mine, theirs = self.words[first : first + _CHUNK], other.words[first : first + _CHUNK]
            found.append(np.flatnonzero((mine != theirs).any(axis=1)) + first)
        return np.concatenate(found)

    def close(self) -> None:
        """Give it back, or let it go with the last view; a QEMU that still runs keeps its own hold."""
        self.words = np.empty((0, PAGE // 8), np.uint64)
        with contextlib.suppress(BufferError):
            self._memory.close()
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
