"""What the main stream is made of, record by record.

A stream is a file header, CONFIGURATION, then sections, commands and footers up to EOF and the JSON
description. A section's record (START, PART, END, FULL) is followed by the records of its body, each of
which names the section it belongs to. A payload is a :class:`~migemu.wire.buffers.Buffer` that the receiver
of the record owns and releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migemu.wire.buffers import Buffer


class Section(NamedTuple):
    """Whose state it is: QEMU's SaveStateEntry key."""

    idstr: str
    """For example ``ram`` or ``0000:00:01.0/vfio``."""
    instance: int = 0


@dataclass(frozen=True, slots=True)
class FileHeader:
    """``QEVM`` and the stream's version."""

    version: int = 3


@dataclass(frozen=True, slots=True)
class Configuration:
    """0x07: what the source's machine is; the subsections are there only when something asked for them."""

    machine: str
    """The machine type's name."""
    capabilities: tuple[str, ...] | None = None
    """Of x-ignore-shared and mapped-ram, those in use."""
    uuid: bytes | None = None
    """With validate-uuid: 16 bytes."""
    target_page_bits: int | None = None
    """Where the page size is not the target's only one (not on x86)."""


@dataclass(frozen=True, slots=True)
class SectionStart:
    """0x01: a live section is set up; its body follows."""

    section_id: int
    idstr: str
    instance: int
    version: int


@dataclass(frozen=True, slots=True)
class SectionPart:
    """0x02: a live section's state while the VM runs."""

    section_id: int


@dataclass(frozen=True, slots=True)
class SectionEnd:
    """0x03: the rest of a live section's state, the VM stopped."""

    section_id: int


@dataclass(frozen=True, slots=True)
class SectionFull:
    """0x04: a non-iterable device's whole state; its body is not length prefixed."""

    section_id: int
    idstr: str
    instance: int
    version: int


@dataclass(frozen=True, slots=True)
class Footer:
    """0x7e: the end of a section's record."""

    section_id: int


@dataclass(frozen=True, slots=True)
class Command:
    """0x08: :data:`~migemu.wire.mainstream.COMMANDS` says what the number means."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Eof:
    """0x00: the end of the VM's state."""


@dataclass(frozen=True, slots=True)
class VmDesc:
    """0x06: the description of the device sections, for tools."""

    json: bytes


class RamBlock(NamedTuple):
    """One entry of the RAM block list."""

    id: str
    used_length: int
    """Bytes."""
    page_size: int | None = None
    """Bytes; only for huge-page blocks after POSTCOPY_ADVISE."""
    gpa: int | None = None
    """Guest address; only with x-ignore-shared."""


@dataclass(frozen=True, slots=True)
class RamBlocks:
    """MEM_SIZE: every RAM block of the source, in the setup of ``ram``."""

    section: Section
    blocks: tuple[RamBlock, ...]


@dataclass(frozen=True, slots=True)
class RamPage:
    """PAGE: one page of guest memory."""

    section: Section
    block: str
    offset: int
    """Bytes inside the block."""
    data: Buffer
    continued: bool = False
    """Whether the wire left the block's id out, being that of the page before."""


@dataclass(frozen=True, slots=True)
class RamZero:
    """ZERO: one page that is zero."""

    section: Section
    block: str
    offset: int
    continued: bool = False


@dataclass(frozen=True, slots=True)
class RamFlush:
    """MULTIFD_FLUSH: the multifd barrier of machine types from 8.1 on."""

    section: Section


@dataclass(frozen=True, slots=True)
class RamEos:
    """EOS: the body's end, and the multifd barrier of machine types up to 8.0."""

    section: Section


@dataclass(frozen=True, slots=True)
class VfioWord:
    """A mark without data of its own; :data:`~migemu.wire.vfio.WORDS` names it."""

    section: Section
    word: int


@dataclass(frozen=True, slots=True)
class VfioData:
    """DEV_DATA_STATE: bytes for the device, in order."""

    section: Section
    data: Buffer


@dataclass(frozen=True, slots=True)
class VfioConfig:
    """The config state on the main channel, without its marks."""

    section: Section
    data: bytes
    sized: bool = False
    """Whether it came in migemu's form (DEV_CONFIG_STATE_SIZED) instead of QEMU's."""


@dataclass(frozen=True, slots=True)
class VfioDataCount:
    """DEV_DATA_COUNT, migemu's own: data buffers of this device that travel over multifd."""

    section: Section
    count: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """The body of a section whose size is known and whose content is its device's business."""

    section: Section
    data: bytes
    """Without the length that precedes it in migemu's own sections."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Everything from the first section without a codec up to EOF; :func:`~migemu.wire.tail.split_tail`."""

    data: bytes


BodyRecord = (
    RamBlocks
    | RamPage
    | RamZero
    | RamFlush
    | RamEos
    | VfioWord
    | VfioData
    | VfioConfig
    | VfioDataCount
    | Opaque
)
Record = (
    FileHeader
    | Configuration
    | SectionStart
    | SectionPart
    | SectionEnd
    | SectionFull
    | Footer
    | Command
    | Eof
    | VmDesc
    | Tail
    | BodyRecord
)
