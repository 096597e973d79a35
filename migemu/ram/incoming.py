"""From packets to guest memory: check, place, digest what was placed.

Pages are hashed where they were put, not in the packet: were two channels to bring one page at once, because
a barrier was lost, the digest would tell of the copy that stayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from migemu.errors import WireError
from migemu.ram.digest import ZERO_PAGE_HASH, hash_page
from migemu.ram.guest import PAGE_SIZE
from migemu.wire.multifd import COMPRESSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from migemu.ram.digest import PageDigests
    from migemu.ram.guest import Block, GuestRam
    from migemu.wire.multifd import RamPacket

_ZEROS = memoryview(bytes(PAGE_SIZE))


class RamLoad:
    """Puts received pages into a destination's RAM.

    Several channels may call at once as long as they bring different pages; the same page only across a
    barrier. Nothing of a packet is placed unless all of it is in order.

    Args:
        ram: where the pages go.
        digests: the destination's page digests.
    """

    def __init__(self, ram: GuestRam, digests: PageDigests) -> None:
        self._ram = ram
        self._digests = digests
        self._blocks = {block.id: block for block in ram.blocks}
        self._touched = np.full(len(ram.pages), not ram.blank)

    def apply(self, packet: RamPacket) -> None:
        """Place a multifd RAM packet; a SYNC without pages does nothing, whatever block it names.

        Raises:
            WireError: compressed pages or pages of another size, an unknown block, an offset outside it or
                not at a page, or too many or too few bytes for the pages named.
        """
        if packet.page_size != PAGE_SIZE:
            raise WireError(f"ram packet with pages of {packet.page_size} bytes, expected {PAGE_SIZE}")
        if packet.flags & COMPRESSION:
            raise WireError(
                f"ram packet with compressed pages (flags {packet.flags:#x}), expected plain ones"
            )
        if len(packet.normal) or len(packet.zero):
            data = packet.pages.view if packet.pages is not None else memoryview(b"")
            self.place(packet.block, packet.normal, data, packet.zero)

    def place(
        self,
        block: str,
        normal: Sequence[int] | npt.NDArray[np.uint64],
        data: memoryview,
        zero: Sequence[int] | npt.NDArray[np.uint64] = (),
    ) -> None:
        """Place the pages at the byte offsets `normal` of `block` from `data`, and zero those at `zero`.

        Raises:
            WireError: as for `apply`.
        """
        where = self._block(block)
        zeros = _page_numbers(where, zero) if len(zero) else None
        pages = _page_numbers(where, normal)
        if len(data) != len(pages) * PAGE_SIZE:
            raise WireError(f"ram block {block}: {len(data)} bytes for {len(pages)} pages")
        if zeros is not None:
            self._zero(zeros)
        if pages.size:
            self._touched[pages] = True
            self._ram.pages[pages] = np.asarray(data).reshape(len(pages), PAGE_SIZE)
            self._digests.update_in_place(self._ram, pages)

    def page(self, block: str, offset: int, data: memoryview) -> None:
        """Place one page, as the main channel brings them; several times faster than `place` for just one.

        Raises:
            WireError: as for `apply`.
        """
        number = _page_number(self._block(block), offset)
        if len(data) != PAGE_SIZE:
            raise WireError(f"ram block {block}: {len(data)} bytes for a page")
        self._touched[number] = True
        self._put(number, data)

    def zero_page(self, block: str, offset: int) -> None:
        """Zero one page.

        Raises:
            WireError: as for `apply`.
        """
        number = _page_number(self._block(block), offset)
        if self._touched[number]:
            self._put(number, _ZEROS)
        else:
            self._digests.values[number] = ZERO_PAGE_HASH

    def _put(self, number: int, data: memoryview) -> None:
        placed = self._ram.view[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]
        placed[:] = data
        self._digests.values[number] = hash_page(placed)

    def _block(self, name: str) -> Block:
        block = self._blocks.get(name)
        if block is None:
            raise WireError(f"unknown ram block {name}; this side has {', '.join(self._blocks) or 'none'}")
        return block

    def _zero(self, pages: npt.NDArray[np.int64]) -> None:
        """Zero `pages`; those nobody ever wrote are zero by birth and must not cost memory now."""
        touched = pages[self._touched[pages]]
        self._digests.values[pages] = ZERO_PAGE_HASH
        if touched.size:
            self._ram.words[touched] = 0
            self._digests.update_in_place(self._ram, touched)


def _page_numbers(block: Block, offsets: Sequence[int] | npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Byte offsets inside `block` as page numbers of all RAM."""
    wide = np.asarray(offsets, np.uint64)
    bad = (wide >= block.size) | (wide % PAGE_SIZE != 0)
    if bad.any():
        raise _misplaced(block, int(wide[bad.argmax()]))
    return (wide // PAGE_SIZE).astype(np.int64) + block.first


def _page_number(block: Block, offset: int) -> int:
    if not 0 <= offset < block.size or offset % PAGE_SIZE:
        raise _misplaced(block, offset)
    return block.first + offset // PAGE_SIZE


def _misplaced(block: Block, offset: int) -> WireError:
    if offset >= block.size:
        last = max(block.size - PAGE_SIZE, 0)
        return WireError(f"ram block {block.id}: offset too long {offset:#x} (max {last:#x})")
    return WireError(f"ram block {block.id}: offset {offset:#x} is not at a page of {PAGE_SIZE} bytes")
