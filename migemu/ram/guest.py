"""Guest RAM: blocks of 4 KiB pages, seen as arrays.

RAM blocks (QEMU: ``RAMBlock``) lie one after the other in one mapping, so that a page has one number in the
whole of RAM: the dirty log, the digests and the gathering of pages work on page numbers, and only the wire
speaks of a block and an offset.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from migemu.errors import ConfigError
from migemu.ram import mapping
from migemu.ram.pattern import fill_pages

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

PAGE_SIZE = 4096
"""Target page size in bytes; x86-64's, the only one migemu speaks."""

DEFAULT_BLOCK = "pc.ram"
"""The name QEMU's PC machines give to their main RAM block."""


@dataclass(frozen=True, slots=True)
class Block:
    """A RAM block: `id` as on the wire, its pages `first` .. `first + pages - 1` of the whole RAM."""

    id: str
    first: int
    pages: int

    @property
    def size(self) -> int:
        """Bytes (wire: the block's used length)."""
        return self.pages * PAGE_SIZE


class GuestRam:
    """The RAM of a virtual machine.

    Args:
        blocks: (id, bytes) of each block in order. The memory starts as zeros and is taken from the machine
            only where it is written. A destination bounds sizes that came from the wire before it asks.
        file: what the memory holds at first, from its start; it is read as it is needed and never changed.

    Raises:
        ConfigError: an id twice, empty or over 255 bytes, a size that is not whole pages, or too much; no
            such file, or a longer one than there is RAM.
    """

    def __init__(self, blocks: Iterable[tuple[str, int]], *, file: Path | None = None) -> None:
        self.blocks = tuple(_lay_out(blocks))
        self.size = sum(block.size for block in self.blocks)
        self._memory = mapping.anonymous(self.size) if self.size else None
        self.view = memoryview(self._memory or bytearray())
        """All of RAM as bytes."""
        self.pages: npt.NDArray[np.uint8] = np.asarray(self.view).reshape(-1, PAGE_SIZE)
        """All of RAM as (pages, 4096) bytes."""
        self.words: npt.NDArray[np.uint64] = self.pages.view(np.uint64)
        """The same memory as (pages, 512) words."""
        self.blank = not self._lay_over(file)
        """Nothing was put in at the start: pages nobody wrote to are known to be zero."""

    @classmethod
    def of_size(cls, size: int) -> Self:
        """RAM of one block, ``pc.ram``, of `size` bytes (0 is allowed)."""
        return cls([(DEFAULT_BLOCK, size)])

    @classmethod
    def of_file(cls, path: Path, size: int | None = None) -> Self:
        """RAM of one block holding what is in a file, which itself is never changed.

        Args:
            path: a regular file of any length.
            size: bytes of RAM, whole pages; None = the file's length rounded up to whole pages. What the file
                does not fill is zero.

        Raises:
            ConfigError: no such file, or it is longer than `size`.
        """
        if size is None:
            size = -(-mapping.file_size(path) // PAGE_SIZE) * PAGE_SIZE
        return cls([(DEFAULT_BLOCK, size)], file=path)

    def _lay_over(self, file: Path | None) -> bool:
        """Put the content of `file` at the start of the memory; whether there was any."""
        length = mapping.file_size(file) if file is not None else 0
        if length > self.size:
            raise ConfigError(f"RAM file {file} has {length} bytes, more than the RAM size {self.size}")
        if file is None or self._memory is None or length == 0:
            return False
        mapping.overlay(self._memory, file, length)
        return True

    def fill(self, seed: int, zero_fraction: float = 0.0) -> None:
        """Overwrite all of RAM with the content of `seed`; about `zero_fraction` (0..1) of the pages zero."""
        fill_pages(self.words, seed, zero_fraction, blank=self.blank)
        self.blank = False

    def populate(self) -> None:
        """Take the memory from the machine now (QEMU: ``prealloc``): pages then land more than twice as fast.

        RAM over a file is left alone, since populating it would copy the file.
        """
        if self._memory is not None and self.blank:
            mapping.populate(self._memory)

    def block(self, name: str) -> Block:
        """The block called `name`; KeyError when there is none."""
        for block in self.blocks:
            if block.id == name:
                return block
        raise KeyError(name)

    def describe(self, page: int) -> str:
        """Where page number `page` is, in the wire's words."""
        for block in self.blocks:
            if page < block.first + block.pages:
                return f"block {block.id} offset {(page - block.first) * PAGE_SIZE:#x}"
        raise IndexError(page)

    def close(self) -> None:
        """Give the memory back, or let it go with the last view somebody still holds."""
        self.view = memoryview(b"")
        self.pages = np.empty((0, PAGE_SIZE), np.uint8)
        self.words = np.empty((0, PAGE_SIZE // 8), np.uint64)
        if self._memory is not None:
            with contextlib.suppress(BufferError):
                self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lay_out(blocks: Iterable[tuple[str, int]]) -> list[Block]:
    laid: list[Block] = []
    names: set[str] = set()
    first = 0
    for name, size in blocks:
        if not 0 < len(name.encode()) <= 255 or name in names:
            raise ConfigError(f"RAM block id {name!r} must be unique and of 1 to 255 bytes")
        if size < 0 or size % PAGE_SIZE:
            raise ConfigError(f"RAM block {name}: {size} bytes are not whole pages of {PAGE_SIZE}")
        names.add(name)
        laid.append(Block(name, first, size // PAGE_SIZE))
        first += size // PAGE_SIZE
    return laid
