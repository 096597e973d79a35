from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from migemu.errors import WireError
from migemu.wire.buffers import Buffer
from migemu.wire.encode import encode_packet
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.multifd import (
    SYNC,
    DevicePacket,
    RamPacket,
    encode_device_header,
    encode_ram_header,
    ram_header_size,
    ram_packet,
    sync_packet,
)
from migemu.wire.reader import PacketReader
from migemu.wire.vfio import (
    FLAG_CONFIG,
    VFIO_HEADER_SIZE,
    decode_config_state,
    encode_config_state,
    wrap_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.wire.buffers import HeapPool
    from migemu.wire.multifd import Packet
    from wire.conftest import Captured, Drive

CHANNELS = [(version, channel) for version in ("7.2", "10.0") for channel in (0, 1)]


def offsets(*pages: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(pages, np.uint64) * np.uint64(4096)


def rebuild(packets: Iterable[Packet], size: int = 1 << 20) -> bytearray:
    """What a destination's RAM is after these packets."""
    ram = bytearray(b"\xff" * size)
    for packet in packets:
        assert isinstance(packet, RamPacket)
        for at, offset in enumerate(packet.normal.tolist()):
            assert packet.pages is not None
            ram[offset : offset + 4096] = packet.pages.view[at * 4096 : at * 4096 + 4096]
        for offset in packet.zero.tolist():
            ram[offset : offset + 4096] = bytes(4096)
    return ram


@pytest.mark.parametrize(("version", "channel"), CHANNELS)
def test_a_recorded_channel_encodes_again_to_the_same_bytes(
    captured: Captured, drive: Drive, version: str, channel: int
) -> None:
    raw = captured(f"qemu-{version}-none-2ch")[f"mfd{channel}.bin"][HELLO_SIZE:]
    packets = drive.packets(raw)
    assert b"".join(map(encode_packet, packets)) == raw


def test_the_recorded_channels_of_10_0_hold_the_whole_ram(captured: Captured, drive: Drive) -> None:
    files = captured("qemu-10.0-none-2ch")
    packets = [p for channel in (0, 1) for p in drive.packets(files[f"mfd{channel}.bin"][HELLO_SIZE:])]
    assert rebuild(packets) == files["ram0.img"]
    assert [bool(packet.flags & SYNC) for packet in packets] == [True, False, True, True] * 2


def test_a_sync_of_7_2_may_carry_pages_and_stale_fields(captured: Captured, drive: Drive) -> None:
    packets = drive.packets(captured("qemu-7.2-none-2ch")["mfd0.bin"][HELLO_SIZE:])
    setup, data, empty, last = packets
    assert isinstance(data, RamPacket)
    assert data.flags == SYNC
    assert len(data.normal) == 128
    assert isinstance(last, RamPacket)
    assert (last.flags, last.pages, last.next_packet_size, last.block) == (SYNC, None, 524288, "ram0")
    assert all(isinstance(p, RamPacket) and p.pages_alloc == 128 for p in (setup, empty))


def test_device_state_of_a_real_qemu(device_state: bytes, drive: Drive) -> None:
    packets = drive.packets(device_state)
    assert b"".join(map(encode_packet, packets)) == device_state
    by_idx = {p.idx: p for p in packets if isinstance(p, DevicePacket)}
    assert {p.device for p in by_idx.values()} == {"0000:00:01.0/vfio"}
    assert [by_idx[idx].is_config for idx in range(4)] == [False, False, False, True]
    data = b"".join(bytes(by_idx[idx].data.view) for idx in range(3))
    assert data == np.arange(0, 3 << 20, 8, dtype="<u8").tobytes()


def test_the_config_state_of_a_real_qemu(device_state: bytes, drive: Drive) -> None:
    config = drive.packets(device_state)[-1]
    assert isinstance(config, DevicePacket)
    assert len(config.data) == 292
    state = decode_config_state(config.data.view)
    assert state.config[:4] == bytes.fromhex("361b9900")
    assert encode_config_state(state) == config.data.view


def test_headers_have_the_sizes_of_the_wire() -> None:
    assert len(encode_ram_header(sync_packet(1))) == ram_header_size() == 1344
    assert len(encode_device_header("0000:00:01.0/vfio", 0, 0, 0, 4096)) == 288
    assert ram_header_size(65536) == 320 + 8 * 8


def test_a_data_packet_as_10_0_sends_it() -> None:
    packet = ram_packet("ram0", offsets(3, 5), offsets(9), 77)
    raw = encode_ram_header(packet)
    assert struct.unpack_from(">IIIIIIQI", raw) == (0x11223344, 1, 0, 128, 2, 8192, 77, 1)
    assert raw[64:320] == b"ram0".ljust(256, b"\0")
    assert struct.unpack_from(">4Q", raw, 320) == (3 * 4096, 5 * 4096, 9 * 4096, 0)


def test_what_is_written_is_read_back(pool: HeapPool, drive: Drive) -> None:
    config = wrap_config(b"pci")
    sent: list[Packet] = [
        sync_packet(0),
        ram_packet("ram0", offsets(1), offsets(2, 7), 1, Buffer.copy_of(b"x" * 4096)),
        DevicePacket("0000:00:02.0/vfio", 3, 0, 0, 0, Buffer.copy_of(b"d" * 100_000)),
        DevicePacket("0000:00:02.0/vfio", 3, 0, 1, FLAG_CONFIG, Buffer.copy_of(config)),
    ]
    raw = b"".join(map(encode_packet, sent))
    received = drive.packets(raw, PacketReader(pool))
    assert list(map(encode_packet, received)) == list(map(encode_packet, sent))


MOST = 0xFFFFFFFF - VFIO_HEADER_SIZE
"""Bytes of device state that the u32 of a packet can announce."""


def test_what_does_not_fit_a_packet_is_not_written() -> None:
    with pytest.raises(WireError, match="128 normal and 1 zero pages do not fit"):
        encode_ram_header(ram_packet("ram0", offsets(*range(128)), offsets(200), 1))
    with pytest.raises(WireError, match="256-byte field"):
        encode_device_header("d" * 256, 0, 0, 0, 1)
    with pytest.raises(WireError, match="do not fit one packet"):
        encode_device_header("d", 0, 0, 0, MOST + 1)
    assert encode_device_header("d", 0, 0, 0, MOST)[272:276] == b"\xff" * 4
