"""The body of the ``ram`` section: the block list, pages, barriers.

Each item begins with a u64: an address or total in the upper bits, flags in the bits below the page size.
What the words mean for the multifd channels (FLUSH, or EOS with machine types up to 8.0) is the
destination's business; here they are records.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from migemu.errors import WireError
from migemu.wire.mainstream import (
    RAM_CONTINUE,
    RAM_EOS,
    RAM_MEM_SIZE,
    RAM_MULTIFD_FLUSH,
    RAM_PAGE,
    RAM_UNSUPPORTED,
    RAM_ZERO,
)
from migemu.wire.records import RamBlock, RamBlocks, RamEos, RamFlush, RamPage, RamZero, Section
from migemu.wire.text import decode_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from migemu.wire.intake import Intake
    from migemu.wire.limits import WireLimits
    from migemu.wire.records import Record

WORD: Final = struct.Struct(">Q")
INSIDE: Final = "a ram section"


class RamSection:
    """Reads the bodies of one stream's ``ram`` section, which share block list and current block.

    Attributes:
        page_size: bytes; CONFIGURATION may change it before the first body.
        with_gpa: block list entries carry a guest address (x-ignore-shared).
        advised: POSTCOPY_ADVISE has come.
        mapped: the stream is a mapped-ram file's.

    Args:
        intake: the stream's bytes.
        out: where records go.
        limits: what the stream may announce.
        page_size: bytes.
        huge_blocks: ids of blocks on huge pages; after POSTCOPY_ADVISE their entries carry the page size.
            Nothing on the wire tells which these are.
    """

    def __init__(
        self,
        intake: Intake,
        out: list[Record],
        limits: WireLimits,
        page_size: int,
        huge_blocks: Collection[str] = (),
    ) -> None:
        self.page_size = page_size
        self.with_gpa = False
        self._huge_blocks = frozenset(huge_blocks)
        self.advised = False
        self.mapped = False
        self._intake = intake
        self._out = out
        self._limits = limits
        self._lengths: dict[str, int] = {}
        self._block: str | None = None

    def body(self, section: Section) -> Iterator[str]:
        """One body, up to its EOS.

        Raises:
            WireError: a word nobody sends, or a page outside its block.
        """
        intake, mask = self._intake, self.page_size - 1
        while True:
            while intake.end - intake.start < 8:
                yield INSIDE
            (word,) = WORD.unpack_from(intake.view, intake.start)
            flags = word & mask
            kind = flags & ~RAM_CONTINUE
            if kind in (RAM_PAGE, RAM_ZERO):
                yield from self._page(section, word - flags, kind, continued=kind != flags)
            elif flags == RAM_MEM_SIZE:
                yield from self._block_list(section, word - flags)
            elif word in (RAM_MULTIFD_FLUSH, RAM_EOS):
                intake.start += 8
                self._out.append(RamEos(section) if word == RAM_EOS else RamFlush(section))
                if word == RAM_EOS:
                    return
            else:
                raise _unknown(word, flags)

    def _page(self, section: Section, offset: int, kind: int, *, continued: bool) -> Iterator[str]:
        intake = self._intake
        head = 8
        if not continued:
            while intake.waiting() < 9:
                yield INSIDE
            head = 9 + intake.peek(8)
        whole = head + 1 if kind == RAM_ZERO else head
        while intake.end - intake.start < whole:
            yield INSIDE
        begin = intake.start
        block = self._find_block(None if continued else bytes(intake.view[begin + 9 : begin + head]), offset)
        intake.start = begin + whole
        if kind == RAM_ZERO:
            if intake.view[begin + head]:
                raise WireError(f"ram block {block}: a ZERO page is filled with {intake.view[begin + head]}")
            self._out.append(RamZero(section, block, offset, continued))
            return
        while (data := intake.payload(self.page_size)) is None:
            yield "a ram page"
        self._out.append(RamPage(section, block, offset, data, continued))

    def _find_block(self, raw: bytes | None, offset: int) -> str:
        """The page's block: named, or still the current one."""
        if raw is not None:
            self._block = decode_name(raw, "ram block id")
        block = self._block
        if block is None:
            raise WireError("a page continues a ram block before any was named")
        length = self._lengths.get(block)
        if length is None:
            raise WireError(f"unknown ram block {block}; listed: {', '.join(self._lengths) or 'none'}")
        if offset + self.page_size > length:
            raise WireError(f"ram block {block}: offset too long {offset:#x} (length {length:#x})")
        return block

    def _block_list(self, section: Section, total: int) -> Iterator[str]:
        if self.mapped:
            raise WireError("a mapped-ram stream needs a seekable file, this is a connection")
        self._intake.start += 8
        self._lengths.clear()
        blocks: list[RamBlock] = []
        left = total
        while left:
            yield from self._block_entry(blocks)
            left -= blocks[-1].used_length
            if left < 0:
                raise WireError(f"the ram blocks add up to more than their total, {total} bytes")
            self._limits.check("max_ram_blocks", len(blocks), "ram blocks")
        self._lengths = {block.id: block.used_length for block in blocks}
        if len(self._lengths) < len(blocks):
            raise WireError("the ram block list names a block twice")
        self._out.append(RamBlocks(section, tuple(blocks)))

    def _block_entry(self, blocks: list[RamBlock]) -> Iterator[str]:
        intake = self._intake
        while intake.waiting() < 1 or intake.waiting() < 1 + intake.peek() + 8:
            yield "the ram block list"
        name = decode_name(intake.take(intake.take_int(1)), "ram block id")
        length = intake.take_int(8)
        huge = self.advised and name in self._huge_blocks
        while intake.waiting() < 8 * (huge + self.with_gpa):
            yield "the ram block list"
        page_size = intake.take_int(8) if huge else None
        gpa = intake.take_int(8) if self.with_gpa else None
        blocks.append(RamBlock(name, length, page_size, gpa))


def _unknown(word: int, flags: int) -> WireError:
    name = RAM_UNSUPPORTED.get(flags & ~RAM_CONTINUE)
    if name is not None:
        return WireError(f"ram word {word:#x} is {name}, which is not supported: switch it off")
    return WireError(f"unknown ram word {word:#x}")
