from __future__ import annotations

import pytest

from migemu.errors import TruncatedError, WireError
from migemu.wire import returnpath as rp


def test_the_messages_of_a_real_destination() -> None:
    assert rp.shut() == bytes.fromhex("0001 0004 00000000")
    assert rp.pong(0x0102) == bytes.fromhex("0002 0004 00000102")
    assert rp.encode(rp.SWITCHOVER_ACK) == bytes.fromhex("0007 0000")


def test_messages_are_read_in_order_as_they_complete() -> None:
    reader = rp.ReturnPathReader()
    raw = rp.pong(7) + rp.encode(rp.SWITCHOVER_ACK) + rp.encode(rp.FAILED, b"why") + rp.shut(1)
    assert reader.feed(raw[:9]) == [(rp.PONG, b"\0\0\0\7")]
    names = [message.name for message in reader.feed(raw[9:])]
    assert names == ["SWITCHOVER_ACK", "FAILED", "SHUT"]
    reader.ended()


def test_an_end_inside_a_message_is_noticed() -> None:
    reader = rp.ReturnPathReader()
    reader.feed(rp.shut()[:7])
    with pytest.raises(TruncatedError, match="7 bytes into it"):
        reader.ended()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("0008 0000", "unknown return path message 0x8"),
        ("0000 0004", "unknown return path message 0x0"),
        ("0001 0008", "SHUT has 8 bytes, expected 4"),
        ("0007 0001", "SWITCHOVER_ACK has 1 bytes, expected 0"),
    ],
)
def test_what_qemu_refuses_is_refused_from_its_head_on(head: str, says: str) -> None:
    with pytest.raises(WireError, match=says):
        rp.ReturnPathReader().feed(bytes.fromhex(head))


def test_an_impossible_message_is_not_written() -> None:
    with pytest.raises(WireError, match="unknown"):
        rp.encode(99)
    with pytest.raises(WireError, match="PONG has 3 bytes"):
        rp.encode(rp.PONG, b"abc")
    with pytest.raises(WireError, match="at most 65535"):
        rp.encode(rp.LOADED, bytes(65536))


def test_a_reason_may_be_as_long_as_a_message() -> None:
    raw = rp.encode(rp.FAILED, bytes(rp.MAX_DATA))
    assert [len(message.data) for message in rp.ReturnPathReader().feed(raw)] == [rp.MAX_DATA]
