"""From dirty pages to packets: gather once, find the zero pages in the copy, digest the copy, send the copy.

Everything said about a page - its bytes, that it is zero, its hash - is said of one copy of it. The guest
goes on writing meanwhile; looking at the page twice could find it zero and then send nothing of what was
written in between, or send bytes and digest others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from migemu.ram.digest import ZERO_PAGE_HASH
from migemu.ram.guest import PAGE_SIZE
from migemu.wire.buffers import Buffer
from migemu.wire.multifd import ram_packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from migemu.ram.digest import PageDigests
    from migemu.ram.guest import Block, GuestRam
    from migemu.wire.buffers import Pool
    from migemu.wire.multifd import RamPacket

PAGES_PER_PACKET = 128
"""QEMU: MULTIFD_PACKET_SIZE (512 KiB) / 4 KiB."""


@dataclass(frozen=True, slots=True)
class RamBatch:
    """Up to 128 pages of one block, as one multifd RAM packet takes them.

    The normal pages are not always in the order of their numbers: the last ones fill the gaps that zero
    pages left in the copy, as QEMU's own packets do, because that moves the fewest bytes.
    """

    block: Block
    normal: npt.NDArray[np.int64]
    """Numbers, in all of RAM, of the pages whose bytes are in `data`, in its order."""
    zero: npt.NDArray[np.int64]
    """Numbers of the pages that are zero."""
    pages: Buffer | None
    """The bytes of the normal pages, or None when there are none. To be released when they are sent."""

    @property
    def normal_offsets(self) -> npt.NDArray[np.uint64]:
        """Byte offsets inside the block of the normal pages."""
        return self._offsets(self.normal)

    @property
    def zero_offsets(self) -> npt.NDArray[np.uint64]:
        """Byte offsets inside the block of the zero pages."""
        return self._offsets(self.zero)

    def packet(self, packet_num: int) -> RamPacket:
        """The multifd packet with this content; `packet_num` counts the packets of all channels."""
        return ram_packet(self.block.id, self.normal_offsets, self.zero_offsets, packet_num, self.pages)

    def _offsets(self, pages: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        return ((pages - self.block.first) * PAGE_SIZE).astype(np.uint64)


def batches(
    ram: GuestRam,
    indices: npt.NDArray[np.int64],
    digests: PageDigests,
    pool: Pool,
    per_packet: int = PAGES_PER_PACKET,
) -> Iterator[RamBatch]:
    """The pages numbered `indices` (in order, each once), read now, in packets of one block each.

    A packet is gathered when it is asked for, not before, so that its bytes are as young as can be.
    Whoever takes a batch releases its pages.
    """
    for block in ram.blocks:
        first, last = np.searchsorted(indices, (block.first, block.first + block.pages))
        for at in range(first, last, per_packet):
            yield _gather(ram, block, indices[at : min(at + per_packet, last)], digests, pool)


def _gather(
    ram: GuestRam, block: Block, indices: npt.NDArray[np.int64], digests: PageDigests, pool: Pool
) -> RamBatch:
    count = len(indices)
    buffer = pool.take(count * PAGE_SIZE)
    rows: npt.NDArray[np.uint8] = np.asarray(buffer.view).reshape(count, PAGE_SIZE)
    # "clip" only spares numpy the copy it makes for "raise"; every number was found inside the block.
    np.take(ram.pages, indices, axis=0, out=rows, mode="clip")
    zero = _zero_rows(rows, digests.update(indices, rows))
    if not zero.size:
        return RamBatch(block, indices, zero, buffer)
    normal = _close_gaps(rows, zero)
    return RamBatch(block, indices[normal], indices[zero], _front(buffer, len(normal) * PAGE_SIZE))


def _front(buffer: Buffer, size: int) -> Buffer | None:
    """The first `size` bytes of `buffer`; with none of them it goes back at once."""
    if size == 0:
        buffer.release()
        return None
    return Buffer(buffer.view[:size], buffer.release)


def _zero_rows(rows: npt.NDArray[np.uint8], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Which rows are zero. A hash is no proof: what has the zero page's hash is looked at."""
    suspects = np.flatnonzero(hashes == ZERO_PAGE_HASH)
    if not suspects.size:
        return suspects
    return suspects[~rows.view(np.uint64)[suspects].any(axis=1)]


def _close_gaps(rows: npt.NDArray[np.uint8], zero: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Move the last normal rows into the zero rows before them; the old places of the rows in front."""
    count = len(rows) - len(zero)
    order = np.arange(len(rows))
    normal = np.ones(len(rows), dtype=np.bool_)
    normal[zero] = False
    gaps = zero[zero < count]
    movers = count + np.flatnonzero(normal[count:])
    rows[gaps] = rows[movers]
    order[gaps] = movers
    return order[:count]
