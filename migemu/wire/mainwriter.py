"""Writing the main stream: one function a record, bytes out.

Payloads are not copied: for a page or a data block there is the header, and the caller sends the bytes
after it from where they lie.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import WireError
from migemu.wire import mainstream as ms
from migemu.wire import records as r
from migemu.wire import vfio
from migemu.wire.commands import COMMAND_HEAD
from migemu.wire.configuration import SUBSECTION_VERSION
from migemu.wire.hello import VM_MAGIC
from migemu.wire.text import encode_counted
from migemu.wire.vmdesc import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

_U32: Final = struct.Struct(">I")
_U64: Final = struct.Struct(">Q")
_SECTION: Final = struct.Struct(">BI")


def file_header() -> bytes:
    """``QEVM`` and version 3."""
    return _U32.pack(VM_MAGIC) + _U32.pack(ms.STREAM_VERSION)


def configuration(
    machine: str,
    capabilities: Iterable[str] | None = None,
    uuid: bytes | None = None,
    target_page_bits: int | None = None,
) -> bytes:
    """CONFIGURATION; the subsections in QEMU's order."""
    name = machine.encode()
    parts = [bytes([ms.CONFIGURATION]), _U32.pack(len(name)), name]
    if target_page_bits is not None:
        parts += [_subsection(ms.CONFIGURATION_PAGE_BITS), _U32.pack(target_page_bits)]
    if capabilities is not None:
        names = [encode_counted(capability, "capability") for capability in capabilities]
        parts += [_subsection(ms.CONFIGURATION_CAPABILITIES), _U32.pack(len(names)), *names]
    if uuid is not None:
        parts += [_subsection(ms.CONFIGURATION_UUID), uuid]
    return b"".join(parts)


def _subsection(name: str) -> bytes:
    return bytes([ms.SUBSECTION]) + encode_counted(name, "subsection") + _U32.pack(SUBSECTION_VERSION)


def section_start(section_id: int, idstr: str, instance: int, version: int) -> bytes:
    """START's record; the body and the footer follow."""
    return _named(ms.SECTION_START, section_id, idstr, instance, version)


def section_full(section_id: int, idstr: str, instance: int, version: int) -> bytes:
    """FULL's record; the body and the footer follow."""
    return _named(ms.SECTION_FULL, section_id, idstr, instance, version)


def _named(kind: int, section_id: int, idstr: str, instance: int, version: int) -> bytes:
    name = encode_counted(idstr, "section idstr")
    return _SECTION.pack(kind, section_id) + name + _U32.pack(instance) + _U32.pack(version)


def section_part(section_id: int) -> bytes:
    """PART's record."""
    return _SECTION.pack(ms.SECTION_PART, section_id)


def section_end(section_id: int) -> bytes:
    """END's record."""
    return _SECTION.pack(ms.SECTION_END, section_id)


def footer(section_id: int) -> bytes:
    """The footer behind each section's body."""
    return _SECTION.pack(ms.FOOTER, section_id)


def command(number: int, data: bytes = b"") -> bytes:
    """A COMMAND.

    Raises:
        WireError: unknown, or of a length it cannot have.
    """
    known = ms.COMMANDS.get(number)
    if known is None or len(data) > 0xFFFF or (known.lengths is not None and len(data) not in known.lengths):
        raise WireError(f"no command {number:#x} has {len(data)} bytes of data")
    return COMMAND_HEAD.pack(ms.COMMAND, number, len(data)) + data


def ping(value: int) -> bytes:
    """COMMAND PING: the destination answers with PONG `value`."""
    return command(ms.PING, _U32.pack(value))


def eof() -> bytes:
    """EOF."""
    return bytes([ms.EOF])


def vmdesc(description: dict[str, Any]) -> bytes:
    """VMDESC with `description` as JSON."""
    return vmdesc_record(encode(description))


def vmdesc_record(json: bytes) -> bytes:
    """VMDESC around a description that is text already."""
    return bytes([ms.VMDESCRIPTION]) + _U32.pack(len(json)) + json


def ram_blocks(blocks: Iterable[r.RamBlock]) -> bytes:
    """MEM_SIZE and the block list, the total being their sum."""
    listed = list(blocks)
    total = sum(block.used_length for block in listed)
    return b"".join([_U64.pack(total | ms.RAM_MEM_SIZE), *map(_block_entry, listed)])


def _block_entry(block: r.RamBlock) -> bytes:
    numbers = (block.used_length, block.page_size, block.gpa)
    return encode_counted(block.id, "ram block id") + b"".join(_U64.pack(n) for n in numbers if n is not None)


def ram_page_header(block: str, offset: int, *, continued: bool = False) -> bytes:
    """PAGE's word; the page's bytes follow. `continued`: same block as the page before, its id left out."""
    return _page_word(ms.RAM_PAGE, block, offset, continued)


def ram_zero(block: str, offset: int, *, continued: bool = False) -> bytes:
    """ZERO: a page of zeros."""
    return _page_word(ms.RAM_ZERO, block, offset, continued) + b"\0"


def _page_word(kind: int, block: str, offset: int, continued: bool) -> bytes:  # noqa: FBT001  a field of the wire
    if continued:
        return _U64.pack(offset | kind | ms.RAM_CONTINUE)
    return _U64.pack(offset | kind) + encode_counted(block, "ram block id")


def ram_flush() -> bytes:
    """MULTIFD_FLUSH."""
    return _U64.pack(ms.RAM_MULTIFD_FLUSH)


def ram_eos() -> bytes:
    """EOS of a ram body."""
    return _U64.pack(ms.RAM_EOS)


def vfio_word(word: int) -> bytes:
    """A mark of a VFIO section."""
    return _U64.pack(word)


def vfio_data_header(size: int) -> bytes:
    """DEV_DATA_STATE and the size; `size` bytes follow."""
    return _U64.pack(vfio.DEV_DATA_STATE) + _U64.pack(size)


def vfio_config(data: bytes) -> bytes:
    """QEMU's config state on the main channel, without the END_OF_STATE that must follow."""
    return _U64.pack(vfio.DEV_CONFIG_STATE) + data


def vfio_sized_config(data: bytes) -> bytes:
    """The config state as migemu sends it on the main channel, without the END_OF_STATE that must follow."""
    return _U64.pack(vfio.DEV_CONFIG_STATE_SIZED) + _U32.pack(len(data)) + data


def vfio_data_count(count: int) -> bytes:
    """Announce how many data buffers travel over multifd."""
    return _U64.pack(vfio.DEV_DATA_COUNT) + _U64.pack(count)


def sized_body(data: bytes) -> bytes:
    """The body of one of migemu's own sections."""
    return _U32.pack(len(data)) + data
