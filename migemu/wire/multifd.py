"""Multifd packets: what they carry and how they are written.

Two kinds share the first 12 bytes (magic, version, flags), all integers big endian. A RAM packet's header
is always 320 + 8 x (512 KiB / page size) bytes, 1344 at 4 KiB, whatever its fields say; a DEVICE_STATE
packet's is 276, and a VFIO device begins its payload with 12 bytes of its own (:mod:`migemu.wire.vfio`).

::

    RAM   12 u32 pages_alloc     DEVICE_STATE   12 idstr, 256 bytes with NUL
          16 u32 normal pages                  268 u32 instance
          20 u32 next_packet_size              272 u32 payload size
          24 u64 packet_num                    276 u32 version, idx, flags: the first
          32 u32 zero pages                        12 bytes of a VFIO payload
          36 28  reserved
          64 block id, 256 bytes with NUL      288 data
          320 offsets, 8 x P: normal, zero, then unused
          1344 the normal pages' bytes

Observed on QEMU 7.2, 10.0 and 11.1: the count of normal pages tells what follows an uncompressed header, not
next_packet_size, which is stale in 7.2's packets without pages; so are there the block id and the offsets.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from migemu.errors import WireError
from migemu.wire.hello import MULTIFD_MAGIC, MULTIFD_VERSION
from migemu.wire.text import encode_padded
from migemu.wire.vfio import FLAG_CONFIG, VFIO_HEADER_SIZE, VFIO_VERSION

if TYPE_CHECKING:
    import numpy.typing as npt

    from migemu.wire.buffers import Buffer

SYNC: Final = 0x01
"""The barrier: the channel reads no further until the main channel's word has been passed."""
COMPRESSION: Final = 0x3E
"""The compression field: 0 is none."""
ZLIB: Final = 0x02
ZSTD: Final = 0x04
QPL: Final = 0x08
UADK: Final = 0x10
QATZIP: Final = 0x20
DEVICE_STATE: Final = 0x40

FLAG_NAMES: Final = {
    SYNC: "SYNC",
    ZLIB: "ZLIB",
    ZSTD: "ZSTD",
    QPL: "QPL",
    UADK: "UADK",
    QATZIP: "QATZIP",
    DEVICE_STATE: "DEVICE_STATE",
}

PACKET_BYTES: Final = 512 * 1024
"""Page bytes of a full RAM packet (QEMU: MULTIFD_PACKET_SIZE)."""
PAGE_SIZE: Final = 4096
IDSTR_SIZE: Final = 256
OFFSETS_AT: Final = 320
DEVICE_HEADER_SIZE: Final = 276

COMMON: Final = struct.Struct(">III")
RAM_HEADER: Final = struct.Struct(f">IIIIIIQI28x{IDSTR_SIZE}s")
DEVICE_HEADER: Final = struct.Struct(f">III{IDSTR_SIZE}sII")
_DEVICE_AND_VFIO: Final = struct.Struct(f">III{IDSTR_SIZE}sIIIII")

NO_OFFSETS: Final[npt.NDArray[np.uint64]] = np.empty(0, np.uint64)


def pages_per_packet(page_size: int = PAGE_SIZE) -> int:
    """Offsets a RAM packet has room for: 128 at 4 KiB."""
    return PACKET_BYTES // page_size


def ram_header_size(page_size: int = PAGE_SIZE) -> int:
    """Bytes before the first page: 1344 at 4 KiB."""
    return OFFSETS_AT + 8 * pages_per_packet(page_size)


class RamPacket(NamedTuple):
    """Pages of one RAM block, or a SYNC; 7.2 also sends both in one: the pages count first.

    Packets are tuples and not dataclasses because a channel makes hundreds of thousands in a second.
    """

    flags: int
    block: str
    """The RAM block's id; empty or stale in a packet without pages."""
    page_size: int
    """Bytes; not on the wire but agreed by the machine."""
    normal: npt.NDArray[np.uint64]
    """Byte offsets inside the block of the pages in `pages`, in order."""
    zero: npt.NDArray[np.uint64]
    """Byte offsets inside the block of pages that are zero (9.0+)."""
    packet_num: int
    """One counter over all channels; no receiver checks it."""
    pages_alloc: int
    """128 in data packets; in a SYNC 0 (10.0+) or 128 (7.2)."""
    next_packet_size: int
    """Bytes that follow the header, or a stale value in 7.2's packets without pages."""
    pages: Buffer | None
    """The bytes that followed; None when there were none. With a compression flag: as compressed."""
    slots: npt.NDArray[np.uint64] | None = None
    """The whole offset table as received, with what is stale in it; None: nothing but the offsets above."""


class DevicePacketHeader(NamedTuple):
    """A device-state packet before its data has been read."""

    device: str
    """The section id, for example ``0000:00:01.0/vfio``."""
    instance: int
    version: int
    """Of the VFIO header; 0 is the only one there is."""
    idx: int
    flags: int
    """Of the VFIO header: bit 0 is :data:`~migemu.wire.vfio.FLAG_CONFIG`."""
    size: int
    """Bytes of data, without the VFIO header."""


class DevicePacket(NamedTuple):
    """One buffer of a device's state."""

    device: str
    instance: int
    version: int
    idx: int
    flags: int
    data: Buffer
    """What is to be written to the device, or the config state: without any header."""

    @property
    def is_config(self) -> bool:
        """Whether this is the config state, the device's last idx."""
        return bool(self.flags & FLAG_CONFIG)


Packet = RamPacket | DevicePacket


def ram_packet(
    block: str,
    normal: npt.NDArray[np.uint64],
    zero: npt.NDArray[np.uint64],
    packet_num: int,
    pages: Buffer | None = None,
    flags: int = 0,
    page_size: int = PAGE_SIZE,
) -> RamPacket:
    """An uncompressed RAM packet as 10.0+ sends it."""
    size = len(normal) * page_size
    return RamPacket(
        flags, block, page_size, normal, zero, packet_num, pages_per_packet(page_size), size, pages
    )


def sync_packet(packet_num: int, page_size: int = PAGE_SIZE) -> RamPacket:
    """A SYNC as 10.0+ sends it: a packet of its own, without pages or block."""
    return RamPacket(SYNC, "", page_size, NO_OFFSETS, NO_OFFSETS, packet_num, 0, 0, None)


def encode_ram_header(packet: RamPacket) -> bytes:
    """The header; the page bytes follow it on the wire as they are.

    Raises:
        WireError: more pages than a packet has offsets for, or a block id that is too long.
    """
    room = pages_per_packet(packet.page_size)
    normal, zero = len(packet.normal), len(packet.zero)
    if normal + zero > room:
        raise WireError(f"{normal} normal and {zero} zero pages do not fit a packet of {room}")
    header = RAM_HEADER.pack(
        MULTIFD_MAGIC,
        MULTIFD_VERSION,
        packet.flags,
        packet.pages_alloc,
        normal,
        packet.next_packet_size,
        packet.packet_num,
        zero,
        encode_padded(packet.block, IDSTR_SIZE, "ram block id"),
    )
    return header + _offset_table(packet, room)


def _offset_table(packet: RamPacket, room: int) -> bytes:
    table = np.zeros(room, ">u8")
    if packet.slots is not None:
        table[: len(packet.slots)] = packet.slots
    normal = len(packet.normal)
    table[:normal] = packet.normal
    table[normal : normal + len(packet.zero)] = packet.zero
    return table.tobytes()


@lru_cache(maxsize=256)
def _device_field(device: str) -> bytes:
    return encode_padded(device, IDSTR_SIZE, "device id")


def encode_device_header(
    device: str, instance: int, idx: int, flags: int, size: int, version: int = VFIO_VERSION
) -> bytes:
    """The 288 bytes before `size` bytes of data: the packet's header and VFIO's.

    Raises:
        WireError: the device's id does not fit, or the payload is longer than its u32 can say.
    """
    payload = size + VFIO_HEADER_SIZE
    if payload > 0xFFFFFFFF:
        raise WireError(f"{size} bytes do not fit one packet", device=device, idx=idx)
    return _DEVICE_AND_VFIO.pack(
        MULTIFD_MAGIC,
        MULTIFD_VERSION,
        DEVICE_STATE,
        _device_field(device),
        instance,
        payload,
        version,
        idx,
        flags,
    )
