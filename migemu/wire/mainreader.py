"""The main channel: socket bytes to records.

Sections that have a codec are read as they arrive. From the first one that has none everything is kept as
an opaque tail until the JSON description ends it; with a return path the source does not close, so that
the description is complete is also how the end of the stream is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.errors import TruncatedError, WireError
from migemu.wire import mainstream as ms
from migemu.wire.codecs import CODECS, Body, Codec, find_codec
from migemu.wire.commands import COMMAND_HEAD, read_command
from migemu.wire.configuration import read_configuration
from migemu.wire.extension import CMD_FAILED, CMD_START
from migemu.wire.hello import VM_MAGIC
from migemu.wire.limits import DEFAULT_LIMITS
from migemu.wire.multifd import PAGE_SIZE
from migemu.wire.ramsection import RamSection
from migemu.wire.records import (
    Configuration,
    Eof,
    FileHeader,
    Footer,
    Opaque,
    Record,
    Section,
    SectionEnd,
    SectionFull,
    SectionPart,
    SectionStart,
    Tail,
    VmDesc,
)
from migemu.wire.stream import BETWEEN, StreamReader
from migemu.wire.tail import find_description
from migemu.wire.text import decode_name
from migemu.wire.vfiosection import VfioSection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from migemu.wire.buffers import Pool
    from migemu.wire.limits import WireLimits

WINDOW: Final = 512
"""Bytes asked for where a large data block's header is expected: marks and footers before it fit too."""


class MainReader(StreamReader[Record]):
    """Reads one main channel, its file header included.

    Attributes:
        records: records handed out so far.
        complete: EOF has come, and whatever was announced behind it.

    Args:
        pool: where page bytes and device data are put.
        limits: what the stream may announce.
        codecs: the sections whose bodies can be read.
        page_size: bytes, unless CONFIGURATION says otherwise.
        huge_blocks: ids of RAM blocks on huge pages; only after POSTCOPY_ADVISE they make a difference.
    """

    def __init__(
        self,
        pool: Pool,
        limits: WireLimits = DEFAULT_LIMITS,
        codecs: Sequence[Codec] = CODECS,
        page_size: int = PAGE_SIZE,
        huge_blocks: Collection[str] = (),
    ) -> None:
        super().__init__(pool, WINDOW)
        self.complete = False
        self.records = 0
        self._limits = limits
        self._codecs = codecs
        self._sections: dict[int, tuple[Section, Codec]] = {}
        self._footers: bool | None = None  # known from the first section on: always or never
        self._ram = RamSection(self._intake, self._out, limits, page_size, huge_blocks)
        self._vfio = VfioSection(self._intake, self._out, limits)
        self._readers: dict[int, Callable[[int], Iterator[str]]] = {
            ms.SECTION_START: self._new_section,
            ms.SECTION_FULL: self._new_section,
            ms.SECTION_PART: self._known_section,
            ms.SECTION_END: self._known_section,
            ms.COMMAND: self._command,
        }

    def _drain(self) -> list[Record]:
        done = super()._drain()
        self.records += len(done)
        return done

    def _check_end(self) -> None:
        super()._check_end()
        if not self.complete:
            raise TruncatedError("the main stream ended between two records, without its EOF")

    def _need(self, size: int, inside: str) -> Iterator[str]:
        intake = self._intake
        while intake.end - intake.start < size:
            yield inside

    def _parse(self) -> Iterator[str]:
        yield from self._file_header()
        while True:
            yield from self._need(1, BETWEEN)
            kind = self._intake.peek()
            if kind == ms.EOF:
                break
            reader = self._readers.get(kind)
            if reader is None:
                raise WireError(f"unknown record type {kind:#04x}")
            yield from reader(kind)
            if self.complete:
                break
        if not self.complete:
            yield from self._end_of_state()
        while True:
            yield from self._behind_the_end()

    def _behind_the_end(self) -> Iterator[str]:
        """Nothing of QEMU's; of migemu's own the command that gives up the VM, or the migration."""
        intake = self._intake
        yield from self._need(1, BETWEEN)
        fitting = intake.peek() == ms.COMMAND
        if fitting:
            yield from self._need(COMMAND_HEAD.size, "a command")
            fitting = COMMAND_HEAD.unpack_from(intake.view, intake.start)[1] in (CMD_START, CMD_FAILED)
        if not fitting:
            raise WireError("bytes came behind the end of the main stream")
        yield from self._command(ms.COMMAND)

    def _file_header(self) -> Iterator[str]:
        intake = self._intake
        yield from self._need(8, "the file header")
        magic, version = intake.take_int(4), intake.take_int(4)
        if magic != VM_MAGIC:
            raise WireError(f"not a migration stream: it begins with {magic:#010x}, expected {VM_MAGIC:#x}")
        if version != ms.STREAM_VERSION:
            raise WireError(f"unsupported migration stream version {version}, expected {ms.STREAM_VERSION}")
        self._out.append(FileHeader(version))
        yield from self._need(1, BETWEEN)
        if intake.peek() == ms.CONFIGURATION:
            configuration = yield from read_configuration(intake, self._limits)
            self._configured(configuration)

    def _configured(self, configuration: Configuration) -> None:
        capabilities = configuration.capabilities or ()
        self._ram.with_gpa = "x-ignore-shared" in capabilities
        self._ram.mapped = "mapped-ram" in capabilities
        if configuration.target_page_bits is not None:
            self._ram.page_size = 1 << configuration.target_page_bits
        self._out.append(configuration)

    def _new_section(self, kind: int) -> Iterator[str]:
        """START and FULL: an id, a name, and the body or the beginning of the tail."""
        intake = self._intake
        yield from self._need(6, "a section's header")
        head = 6 + intake.peek(5)
        yield from self._need(head + 8, "a section's header")
        idstr = decode_name(bytes(intake.view[intake.start + 6 : intake.start + head]), "section idstr")
        codec = find_codec(self._codecs, idstr)
        if codec is not None and codec.body is Body.FIXED:
            # A device may put a subsection behind its usual fields; then it is not this fixed form at all.
            yield from self._need(head + 8 + codec.size + 1, "a section's body")
            codec = None if intake.peek(head + 8 + codec.size) == ms.SUBSECTION else codec
        if codec is None:
            yield from self._tail()
            return
        intake.start += 1
        section_id = intake.take_int(4)
        intake.start += head - 5
        section, version = Section(idstr, intake.take_int(4)), intake.take_int(4)
        self._remember(section_id, section, codec)
        record = SectionStart if kind == ms.SECTION_START else SectionFull
        self._out.append(record(section_id, *section, version))
        yield from self._body(section_id, section, codec)

    def _remember(self, section_id: int, section: Section, codec: Codec) -> None:
        known = self._sections.get(section_id)
        if known is not None and known[0] != section:
            raise WireError(f"section id {section_id} is {known[0].idstr} already", device=section.idstr)
        self._sections[section_id] = section, codec
        self._limits.check("max_sections", len(self._sections), "sections")

    def _known_section(self, kind: int) -> Iterator[str]:
        """PART and END: an id that START gave out, and the body."""
        intake = self._intake
        yield from self._need(5, "a section's header")
        intake.start += 1
        section_id = intake.take_int(4)
        if section_id not in self._sections:
            raise WireError(f"unknown section id {section_id}: no START announced it")
        self._out.append(SectionPart(section_id) if kind == ms.SECTION_PART else SectionEnd(section_id))
        yield from self._body(section_id, *self._sections[section_id])

    def _body(self, section_id: int, section: Section, codec: Codec) -> Iterator[str]:
        if codec.body is Body.RAM:
            yield from self._ram.body(section)
        elif codec.body is Body.VFIO:
            footer = b"" if self._footers is False else bytes([ms.FOOTER]) + section_id.to_bytes(4)
            yield from self._vfio.body(section, footer)
        elif codec.body is Body.FIXED:
            yield from self._opaque(section, codec.size)
        else:
            yield from self._need(4, "a section's body")
            yield from self._opaque(section, self._intake.take_int(4))
        yield from self._footer(section_id, section)

    def _opaque(self, section: Section, size: int) -> Iterator[str]:
        self._limits.check("max_non_iterable", size, f"{section.idstr}: section body")
        while (data := self._intake.payload(size)) is None:
            yield "a section's body"
        self._out.append(Opaque(section, bytes(data.view)))
        data.release()

    def _footer(self, section_id: int, section: Section) -> Iterator[str]:
        intake = self._intake
        yield from self._need(1, "a section's footer" if self._footers else BETWEEN)
        present = intake.peek() == ms.FOOTER
        if self._footers is not None and present != self._footers:
            wrong = "misses its footer" if self._footers else "has a footer, those before had none"
            raise WireError(f"the section ended {intake.peek():#04x}: it {wrong}", device=section.idstr)
        self._footers = present
        if not present:
            return
        yield from self._need(5, "a section's footer")
        intake.start += 1
        found = intake.take_int(4)
        if found != section_id:
            raise WireError(f"footer of section {found} behind section {section_id}", device=section.idstr)
        self._out.append(Footer(found))

    def _command(self, _kind: int) -> Iterator[str]:
        command = yield from read_command(self._intake, self._limits)
        self._ram.advised |= command.number == ms.POSTCOPY_ADVISE
        self._out.append(command)

    def _end_of_state(self) -> Iterator[str]:
        """EOF, and the description that may follow it."""
        intake = self._intake
        intake.start += 1
        self._out.append(Eof())
        self.complete = True
        yield from self._need(1, BETWEEN)
        if intake.peek() != ms.VMDESCRIPTION:
            return
        self.complete = False
        yield from self._need(5, "the description")
        intake.start += 1
        size = self._limits.check("max_vmdesc", intake.take_int(4), "description")
        while (data := intake.payload(size)) is None:
            yield "the description"
        self._out.append(VmDesc(bytes(data.view)))
        data.release()
        self.complete = True

    def _tail(self) -> Iterator[str]:
        """Everything up to the end of the stream, which only its last bytes can tell."""
        intake = self._intake
        tail, last_nul = bytearray(), -1
        while True:
            seen = len(tail)
            tail += intake.view[intake.start : intake.end]
            intake.start = intake.end
            self._limits.check("max_non_iterable", len(tail), "device sections")
            last_nul = max(last_nul, tail.rfind(b"\0", seen))
            at = find_description(tail, last_nul, self._limits.max_vmdesc)
            if at is not None:
                break
            yield "the device sections: no description has ended them"
        self._out += (Tail(bytes(tail[:at])), Eof(), VmDesc(bytes(tail[at + 6 :])))
        self.complete = True
