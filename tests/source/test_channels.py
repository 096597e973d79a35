"""Packets and channels of the source: whichever is free, one under way on each, nobody forgotten."""

from __future__ import annotations

import pytest

from migemu.errors import CancelledMigrationError, PeerTimeoutError
from migemu.source.channels import Packet, SendChannels
from migemu.source.mainwriter import MainWriter
from migemu.source.socketlink import left_over
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Patience

LONG = 30.0


class Outlet:
    """A channel that writes when it is told to."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def start(self, packet: Packet) -> None:
        self.packets.append(packet)


class Line:
    """A main connection that writes when it is told to."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def start(self, chunks: tuple[bytes | memoryview, ...]) -> None:
        self.chunks += [bytes(chunk) for chunk in chunks]


def channels(count: int, seconds: float = LONG) -> tuple[SendChannels, list[Outlet], Abort]:
    threads = NativeThreads()
    outlets = [Outlet() for _ in range(count)]
    abort = Abort(threads)
    return SendChannels(threads, abort, Patience(threads, seconds), outlets), outlets, abort


def packet(name: bytes) -> Packet:
    return Packet(name, None)


def test_packets_go_to_the_channels_that_are_free_in_the_order_they_became_so() -> None:
    sending, outlets, _ = channels(3)
    assert [sending.send(packet(b"%d" % number)) for number in range(3)] == [0, 1, 2]
    sending.done(2)
    sending.done(0)
    assert [sending.send(packet(b"x")), sending.send(packet(b"y"))] == [2, 0]
    assert [p.header for p in outlets[2].packets] == [b"2", b"x"]


def test_a_buffer_goes_back_when_its_packet_has_left_and_is_counted() -> None:
    sending, _, _ = channels(1)
    released: list[str] = []
    sending.send(Packet(b"head", memoryview(b"body"), lambda: released.append("body")))
    assert released == []
    sending.done(0)
    assert released == ["body"]
    assert sending.sent == [8]


def test_many_senders_share_few_channels_and_every_packet_leaves_once() -> None:
    threads = NativeThreads()
    abort = Abort(threads)
    left: list[bytes] = []

    class Instant:
        def __init__(self, channel: int) -> None:
            self.channel = channel

        def start(self, sent: Packet) -> None:
            left.append(sent.header)
            sending.done(self.channel)

    sending = SendChannels(threads, abort, Patience(threads, LONG), [Instant(0), Instant(1)])

    def save(name: int) -> None:
        for idx in range(200):
            sending.send(packet(b"%d/%d" % (name, idx)))

    savers = [threads.spawn(f"save {name}", lambda name=name: save(name)) for name in range(6)]  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
    assert all(saver.join(LONG) for saver in savers)
    sending.drain()
    assert sorted(left) == sorted(b"%d/%d" % (name, idx) for name in range(6) for idx in range(200))


def test_a_sync_goes_to_each_channel_behind_what_it_is_writing() -> None:
    sending, outlets, _ = channels(2, seconds=0.02)
    assert sending.send(packet(b"data")) == 0
    given = sending.send_on_each(lambda channel: packet(b"sync %d" % channel))
    assert next(given) == 1
    with pytest.raises(PeerTimeoutError, match="1 multifd channels to be free for a SYNC"):
        next(given)
    assert [[p.header for p in outlet.packets] for outlet in outlets] == [[b"data"], [b"sync 1"]]


def test_a_channel_that_is_owed_its_sync_is_nobody_elses() -> None:
    """Save threads that take every channel as it becomes free would leave the SYNC for the end (QEMU has
    pending_sync), and the destination with a queue full of what stands in front of it."""
    sending, outlets, _ = channels(2, seconds=0.02)
    assert sending.send(packet(b"data")) == 0
    given = sending.send_on_each(lambda _: packet(b"sync"))
    assert next(given) == 1
    sending.done(0)
    with pytest.raises(PeerTimeoutError, match="a free multifd channel"):
        sending.send(packet(b"more"))
    assert next(given) == 0
    sending.done(0)
    assert sending.send(packet(b"more")) == 0
    assert [[p.header for p in outlet.packets] for outlet in outlets] == [
        [b"data", b"sync", b"more"],
        [b"sync"],
    ]


def test_a_sender_without_a_free_channel_ends_with_the_side() -> None:
    sending, _, abort = channels(1)
    sending.send(packet(b"stuck"))
    abort.set(CancelledMigrationError("enough"))
    with pytest.raises(CancelledMigrationError):
        sending.send(packet(b"next"))


def test_the_main_channel_holds_back_its_writer_and_flushes_at_marks() -> None:
    threads = NativeThreads()
    abort = Abort(threads)
    line = Line()
    main = MainWriter(threads, abort, Patience(threads, 0.02), line, limit=8)
    main.write(b"12345678")
    with pytest.raises(PeerTimeoutError):
        main.write(b"9")
    with pytest.raises(PeerTimeoutError):
        main.flush()
    main.written(8)
    main.write(b"9")
    main.written(1)
    main.flush()
    assert line.chunks == [b"12345678", b"9"]
    assert main.bytes_sent == 9


@pytest.mark.parametrize(
    ("taken", "left"),
    [(0, b"headbody"), (2, b"adbody"), (4, b"body"), (6, b"dy"), (8, b"")],
)
def test_what_the_kernel_did_not_take_is_still_to_be_sent(taken: int, left: bytes) -> None:
    parts = [memoryview(b"head"), memoryview(b"body")]
    assert b"".join(left_over(parts, taken)) == left
