from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import TruncatedError, WireError
from migemu.wire import records as r
from migemu.wire.buffers import HeapPool
from migemu.wire.capture import decode, decode_with
from migemu.wire.describe import describe
from migemu.wire.hello import Hello
from migemu.wire.multifd import DevicePacket
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire.conftest import Captured


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_any_file_of_a_recording_tells_what_it_is(captured: Captured, size: int) -> None:
    files = captured("qemu-10.0-none-2ch")
    first = {name: next(decode(chunks(raw, size))) for name, raw in files.items() if name.endswith(".bin")}
    assert first == {
        "main.bin": r.FileHeader(3),
        "mfd0.bin": Hello(bytes(16), 0),
        "mfd1.bin": Hello(bytes(16), 1),
    }


def test_a_whole_channel_past_its_barriers(captured: Captured) -> None:
    told = [describe(item) for item in decode([captured("qemu-7.2-none-2ch")["mfd1.bin"]])]
    assert [item["record"] for item in told] == ["Hello"] + ["RamPacket"] * 4
    assert told[2]["pages"]["bytes"] == 55 * 4096


def test_packets_without_a_hello(device_state: bytes) -> None:
    packets = decode_with(PacketReader(HeapPool()), chunks(device_state, 50_000))
    assert [packet.idx for packet in packets if isinstance(packet, DevicePacket)] == [0, 2, 1, 3]


def test_a_payload_lasts_until_the_next_item(device_state: bytes) -> None:
    packets = decode_with(PacketReader(HeapPool()), [device_state])
    first = next(packets)
    assert isinstance(first, DevicePacket)
    assert bytes(first.data.view[8:16]) == (8).to_bytes(8, "little")
    next(packets)
    with pytest.raises(ValueError, match="released"):
        bytes(first.data.view)


def test_everything_before_an_error_is_told(captured: Captured) -> None:
    raw = captured("qemu-10.0-none-2ch")["main.bin"]
    items = decode([raw[:60] + b"\xff" * 100])
    seen: list[object] = []
    with pytest.raises(WireError, match="unknown ram word"):
        seen.extend(items)
    assert [type(item) for item in seen] == [r.FileHeader, r.Configuration, r.SectionStart, r.RamBlocks]


@pytest.mark.parametrize("raw", [b"", b"QE", b"\x11\x22\x33\x44" + bytes(30)])
def test_a_file_that_ends_in_its_first_bytes(raw: bytes) -> None:
    with pytest.raises(TruncatedError, match=f"ended after {len(raw)} bytes"):
        list(decode([raw]))
