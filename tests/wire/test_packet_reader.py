from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from migemu.errors import LimitError, TruncatedError, WireError
from migemu.wire.limits import WireLimits
from migemu.wire.multifd import (
    SYNC,
    ZLIB,
    DevicePacket,
    DevicePacketHeader,
    RamPacket,
    encode_device_header,
    encode_ram_header,
    sync_packet,
)
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from migemu.wire.buffers import HeapPool
    from migemu.wire.multifd import Packet
    from wire.conftest import Drive

DEVICE = "0000:00:01.0/vfio"
MIB = 1 << 20


def device_packet(idx: int, data: bytes, device: str = DEVICE) -> bytes:
    return encode_device_header(device, 0, idx, 0, len(data)) + data


def patched(raw: bytes, at: int, value: int, size: int = 4) -> bytes:
    return raw[:at] + value.to_bytes(size) + raw[at + size :]


def indices(packets: list[Packet]) -> list[int]:
    return [packet.idx for packet in packets if isinstance(packet, DevicePacket)]


def test_many_small_packets_come_out_of_one_read(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    packets = reader.feed(b"".join(device_packet(idx, bytes([idx]) * 100) for idx in range(50)))
    assert indices(packets) == list(range(50))
    assert all(bytes(p.data.view) == bytes([p.idx]) * 100 for p in packets if isinstance(p, DevicePacket))
    assert reader.packets == 50
    assert reader.bytes == 50 * 388


def test_a_large_payload_is_read_straight_into_its_buffer(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    raw = device_packet(0, bytes(range(256)) * 4096)
    assert reader.feed(raw[:400]) == []
    room = reader.get_buffer()
    assert len(room) == MIB - (400 - 288)  # exactly the rest of the payload
    room[:] = raw[400:]
    (packet,) = reader.received(len(room))
    assert isinstance(packet, DevicePacket)
    room[0] ^= 0xFF  # one memory: the socket's target is the payload
    assert packet.data.view[112] == room[0]
    room[0] ^= 0xFF
    assert packet.data.view == raw[288:]


def test_a_large_payload_is_complete_with_its_last_byte_and_not_before(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    raw = device_packet(0, bytes(MIB - 1) + b"z")
    assert reader.feed(raw[:-1]) == []
    (packet,) = reader.feed(raw[-1:])
    assert isinstance(packet, DevicePacket)
    assert packet.data.view[-1] == ord("z")


def test_behind_a_large_payload_little_more_than_a_header_is_asked_for(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    reader.feed(device_packet(0, bytes(MIB)))
    assert len(reader.get_buffer()) == 1344
    reader.feed(device_packet(1, bytes(10)))
    assert len(reader.get_buffer()) > 100_000  # small packets again: land many


def test_nothing_behind_a_sync_is_looked_at_before_resume(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    packets = reader.feed(device_packet(0, b"a") + encode_ram_header(sync_packet(1)) + device_packet(1, b"b"))
    assert len(packets) == 2
    assert reader.parked
    assert reader.feed(device_packet(2, b"c")) == []
    assert indices(reader.resume()) == [1, 2]
    assert not reader.parked


def test_a_parked_reader_takes_no_unbounded_amount(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    reader.feed(encode_ram_header(sync_packet(1)))
    with pytest.raises(LimitError, match="stop reading while parked"):
        reader.feed(bytes(MIB))


def test_a_packet_that_is_not_admitted_takes_no_memory(pool: HeapPool) -> None:
    open_for: set[int] = {0}
    asked: list[DevicePacketHeader] = []

    def admit(header: DevicePacketHeader) -> bool:
        asked.append(header)
        return header.idx in open_for

    reader = PacketReader(pool, admit=admit)
    raw = device_packet(0, b"a") + device_packet(1, bytes(MIB))[:1000]
    assert indices(reader.feed(raw)) == [0]
    assert reader.blocked
    assert asked[-1] == DevicePacketHeader(DEVICE, 0, 0, 1, 0, MIB)
    assert len(reader.get_buffer()) < MIB // 2  # still the landing area
    assert reader.resume() == []
    assert reader.blocked
    open_for.add(1)
    assert reader.resume() == []
    assert indices(reader.feed(bytes(MIB - 1000 + 288))) == [1]


def test_an_end_while_held_is_judged_when_the_reader_goes_on(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    reader.feed(encode_ram_header(sync_packet(1)) + device_packet(0, b"abc")[:-1])
    reader.ended()
    with pytest.raises(TruncatedError, match="DEVICE_STATE packet's data"):
        reader.resume()


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        (5, "the next record"),
        (100, "a DEVICE_STATE packet's header"),
        (280, "a device state's header"),
        (300, "a DEVICE_STATE packet's data"),
    ],
)
def test_a_truncated_stream_says_inside_what_it_ended(pool: HeapPool, size: int, inside: str) -> None:
    reader = PacketReader(pool)
    reader.feed(device_packet(0, bytes(200))[:size])
    with pytest.raises(TruncatedError, match=inside):
        reader.ended()


def test_an_end_between_packets_is_clean(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    reader.feed(device_packet(0, bytes(MIB)))
    reader.ended()


SYNC_RAW = encode_ram_header(sync_packet(1))
DEVICE_RAW = device_packet(0, b"data")
REFUSED = [
    (patched(SYNC_RAW, 0, 0x5145564D), "received packet magic 5145564d, expected 11223344"),
    (patched(SYNC_RAW, 4, 2), "received packet version 2, expected 1"),
    (patched(SYNC_RAW, 12, 129), "received packet with 129 pages, expected 128"),
    (patched(SYNC_RAW, 16, 129), "129 non-zero pages, which exceeds maximum 128"),
    (patched(patched(SYNC_RAW, 16, 1), 32, 128), "128 zero pages, expected maximum 127"),
    (SYNC_RAW[:64] + b"x" * 256 + SYNC_RAW[320:], "unterminated multifd ram block id"),
    (patched(DEVICE_RAW, 8, 0x41), "DEVICE_STATE packet with flags 0x41"),
    (DEVICE_RAW[:12] + b"x" * 256 + DEVICE_RAW[268:], "unterminated multifd device state idstr"),
    (DEVICE_RAW[:12] + b"\x1b[2J" + DEVICE_RAW[16:], "not printable"),
    (patched(DEVICE_RAW, 272, 0), "received empty device state packet"),
    (patched(DEVICE_RAW, 272, 8), r"packet too short at 8 \(min is 12\)"),
]


@pytest.mark.parametrize(("raw", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_a_broken_packet_is_refused_in_qemus_words(pool: HeapPool, raw: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says):
        PacketReader(pool).feed(raw)


def test_an_announced_size_is_held_against_its_limit_before_memory_is_taken(pool: HeapPool) -> None:
    reader = PacketReader(pool, WireLimits(max_payload=MIB))
    with pytest.raises(LimitError, match=r"idx 5.*limits.max_payload = 1048576") as caught:
        reader.feed(encode_device_header(DEVICE, 0, 5, 0, MIB + 1))
    assert caught.value.limit == "limits.max_payload"


def test_what_was_complete_before_an_error_is_kept_and_the_error_stays(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    with pytest.raises(WireError):
        reader.feed(DEVICE_RAW + bytes(100))
    assert indices(reader.salvaged) == [0]
    with pytest.raises(WireError, match="magic 0"):
        reader.feed(DEVICE_RAW)
    with pytest.raises(WireError, match="magic 0"):
        reader.ended()


def test_what_earlier_reads_of_one_feed_completed_is_kept_too(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    raw = b"".join(device_packet(idx, bytes(MIB)) for idx in range(3))
    with pytest.raises(WireError):
        reader.feed(raw + bytes(100))
    assert indices(reader.salvaged) == [0, 1, 2]


def test_a_compressed_sync_of_7_2_has_a_size_and_nothing_behind_it(pool: HeapPool, drive: Drive) -> None:
    stale = patched(patched(SYNC_RAW, 8, ZLIB | SYNC), 20, 70_000)
    packets = drive.packets(stale + SYNC_RAW, PacketReader(pool))
    assert [packet.flags for packet in packets] == [ZLIB | SYNC, SYNC]


def test_a_compressed_packet_is_as_long_as_it_says(pool: HeapPool, drive: Drive) -> None:
    header = patched(patched(patched(SYNC_RAW, 8, ZLIB), 16, 3), 20, 1000)
    (packet,) = drive.packets(header + b"z" * 1000, PacketReader(pool))
    assert isinstance(packet, RamPacket)
    assert packet.pages is not None
    assert len(packet.pages) == 1000
    with pytest.raises(LimitError, match="compressed RAM packet size"):
        PacketReader(pool, WireLimits(max_payload=999)).feed(header)


def test_unknown_higher_flags_are_ignored_as_qemu_ignores_them(pool: HeapPool, drive: Drive) -> None:
    (packet,) = drive.packets(patched(SYNC_RAW, 8, 0x100), PacketReader(pool))
    assert packet.flags == 0x100


def test_pages_of_another_size_have_another_header(pool: HeapPool, drive: Drive) -> None:
    raw = encode_ram_header(sync_packet(9, page_size=65536))
    (packet,) = drive.packets(raw, PacketReader(pool, page_size=65536))
    assert isinstance(packet, RamPacket)
    assert (packet.packet_num, packet.page_size) == (9, 65536)


def test_ever_new_names_are_not_remembered_for_ever(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    for number in range(2000):
        reader.feed(device_packet(number, struct.pack(">I", number), device=f"device {number}"))
    assert len(reader._names) <= 256


def test_closing_gives_the_memory_back(pool: HeapPool) -> None:
    reader = PacketReader(pool)
    reader.feed(device_packet(0, bytes(MIB))[:1000])
    reader.close()
    assert pool.free_bytes() == MIB + 256 * 1024
