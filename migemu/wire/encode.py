"""Any record or packet as the bytes it came from.

The reverse of the readers, item by item: what it makes of a recorded stream is that stream. Payloads are
copied here, so this is for tools and tests; the data path sends headers and payloads as they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.errors import WireError
from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire.codecs import CODECS, Body, find_codec
from migemu.wire.multifd import DevicePacket, RamPacket, encode_device_header, encode_ram_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.wire.multifd import Packet


def encode_record(record: r.Record) -> bytes:
    """The bytes of one record of the main stream.

    Raises:
        WireError: a value that has no place on the wire.
    """
    encoder = _ENCODERS.get(type(record))
    if encoder is None:
        raise WireError(f"{type(record).__name__} is no record of the main stream")
    return encoder(record)


def encode_packet(packet: Packet) -> bytes:
    """The bytes of one multifd packet.

    Raises:
        WireError: a value that has no place on the wire.
    """
    if isinstance(packet, RamPacket):
        return encode_ram_header(packet) + (packet.pages.view if packet.pages is not None else b"")
    return _device_header(packet) + packet.data.view


def _device_header(packet: DevicePacket) -> bytes:
    size = len(packet.data.view)
    return encode_device_header(
        packet.device, packet.instance, packet.idx, packet.flags, size, packet.version
    )


def _configuration(record: r.Configuration) -> bytes:
    return w.configuration(record.machine, record.capabilities, record.uuid, record.target_page_bits)


def _start(record: r.SectionStart) -> bytes:
    return w.section_start(record.section_id, record.idstr, record.instance, record.version)


def _full(record: r.SectionFull) -> bytes:
    return w.section_full(record.section_id, record.idstr, record.instance, record.version)


def _page(record: r.RamPage) -> bytes:
    header = w.ram_page_header(record.block, record.offset, continued=record.continued)
    return header + record.data.view


def _zero(record: r.RamZero) -> bytes:
    return w.ram_zero(record.block, record.offset, continued=record.continued)


def _vfio_data(record: r.VfioData) -> bytes:
    return w.vfio_data_header(len(record.data)) + record.data.view


def _vfio_config(record: r.VfioConfig) -> bytes:
    return w.vfio_sized_config(record.data) if record.sized else w.vfio_config(record.data)


def _opaque(record: r.Opaque) -> bytes:
    codec = find_codec(CODECS, record.section.idstr)
    return w.sized_body(record.data) if codec is not None and codec.body is Body.SIZED else record.data


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    r.FileHeader: lambda _: w.file_header(),
    r.Configuration: _configuration,
    r.SectionStart: _start,
    r.SectionPart: lambda record: w.section_part(record.section_id),
    r.SectionEnd: lambda record: w.section_end(record.section_id),
    r.SectionFull: _full,
    r.Footer: lambda record: w.footer(record.section_id),
    r.Command: lambda record: w.command(record.number, record.data),
    r.Eof: lambda _: w.eof(),
    r.VmDesc: lambda record: w.vmdesc_record(record.json),
    r.RamBlocks: lambda record: w.ram_blocks(record.blocks),
    r.RamPage: _page,
    r.RamZero: _zero,
    r.RamFlush: lambda _: w.ram_flush(),
    r.RamEos: lambda _: w.ram_eos(),
    r.VfioWord: lambda record: w.vfio_word(record.word),
    r.VfioData: _vfio_data,
    r.VfioConfig: _vfio_config,
    r.VfioDataCount: lambda record: w.vfio_data_count(record.count),
    r.Opaque: _opaque,
    r.Tail: lambda record: record.data,
}
