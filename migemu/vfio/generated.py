"""Content made from a seed: random access, the same bytes for the same seed and offset however it is read.

A block of random bytes, drawn once per seed, repeats through the image; every 512-byte sector begins with a
64-bit stamp of its own number, so that two sectors are never equal and a lost, doubled or swapped piece
changes the digest. Copying and stamping costs about a tenth of a millisecond per MiB, well below what a
socket takes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from migemu.vfio.content import copy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from migemu.vfio.content import Payload
    from migemu.wire.buffers import Pool

SECTOR: Final = 512
"""Bytes between stamps."""

BLOCK_SECTORS: Final = 1021
"""Sectors in the repeating block; prime, so that no packet size lines up with the repetition."""

_STRIDE: Final = 0x9E3779B97F4A7C15
"""An odd 64-bit number: multiplication by it maps different sector numbers to different stamps."""

_WORDS: Final = SECTOR // 8
"""64-bit words in a sector."""


UNBOUNDED: Final = 2**62
"""A size for content that is read as far as somebody wants it, such as pre-copy data."""


class Generated:
    """`size` bytes made from `seed`.

    Args:
        seed: any integer; its low 64 bits count.
        size: bytes of the image.
        pool: where pieces are put.
    """

    def __init__(self, seed: int, size: int, pool: Pool) -> None:
        self.size = size
        self._pool = pool
        rng = np.random.default_rng(seed & (2**64 - 1))
        block = rng.integers(0, 2**64, size=BLOCK_SECTORS * _WORDS, dtype=np.uint64)
        self._block = block.data.cast("B")
        self._salt = rng.integers(0, 2**64, dtype=np.uint64)

    def read(self, offset: int, size: int) -> Payload:
        """The bytes of ``[offset, offset + size)`` in a pooled buffer."""
        buffer = self._pool.take(size)
        if offset % SECTOR == 0 and size % SECTOR == 0:
            self._fill(buffer.view, offset // SECTOR)
        else:
            self._cut(buffer.view, offset)
        return buffer

    def close(self) -> None:
        """Nothing is held open."""

    def _cut(self, out: memoryview, offset: int) -> None:
        """Fill `out` where it does not begin and end on sectors: the tail of an image, odd packet sizes."""
        first, end = offset // SECTOR, -(-(offset + len(out)) // SECTOR)
        sectors = memoryview(bytearray((end - first) * SECTOR))
        self._fill(sectors, first)
        start = offset - first * SECTOR
        out[:] = sectors[start : start + len(out)]

    def _fill(self, out: memoryview, first: int) -> None:
        """Fill `out` with the whole sectors from number `first` on."""
        done, block = 0, self._block
        while done < len(out):
            at = (first * SECTOR + done) % len(block)
            count = min(len(out) - done, len(block) - at)
            copy(out[done : done + count], block[at : at + count])
            done += count
        stamped = np.frombuffer(out, dtype=np.uint64)[::_WORDS]
        # One operation, because numpy lets go of the interpreter in each, and somebody else takes it.
        np.add(_stamps(len(stamped)), np.uint64((first * _STRIDE + int(self._salt)) % 2**64), out=stamped)


@lru_cache(maxsize=8)
def _stamps(count: int) -> NDArray[np.uint64]:
    """The stamps of the first sectors, without a seed's own number; the sizes of packets are few."""
    return np.arange(count, dtype=np.uint64) * np.uint64(_STRIDE)


def generated_bytes(seed: int, size: int) -> bytes:
    """A small piece of content made from `seed`, for example a config state."""
    return np.random.default_rng(seed & (2**64 - 1)).bytes(size)
