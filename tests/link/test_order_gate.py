"""The gate in front of a destination's connection: what its reader sees of bytes, pauses and ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from link.order_bench import Bench
from migemu.errors import MigemuError
from migemu.link.order_gate import Gate
from migemu.wire.buffers import HeapPool
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.limits import DEFAULT_LIMITS
from migemu.wire.returnpath import pong, shut
from wire.conftest import recorded

if TYPE_CHECKING:
    from migemu.link.order_item import Item

ROOM = 1 << 20
SYNC_SIZE = 1344


class Reader(asyncio.BufferedProtocol):
    """The protocol behind a gate: takes what it is given, stops where it is told."""

    def __init__(self, *, step: int = 1000, stop_at: int | None = None) -> None:
        self.got = bytearray()
        self.ends: list[object] = []
        self.transport: Any = None
        self._step = step
        self._stop_at = stop_at
        self._room = memoryview(b"")

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        left = self._step if self._stop_at is None else min(self._step, self._stop_at - len(self.got))
        self._room = memoryview(bytearray(left))
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self.got += self._room[:nbytes]
        if len(self.got) == self._stop_at:
            self.transport.pause_reading()

    def go_on(self) -> None:
        self._stop_at = None
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ends.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


class Socket:
    """What a real transport is asked for."""

    def __init__(self) -> None:
        self.reading = True
        self.closed = ""
        self.written = bytearray()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return bool(self.closed)

    def close(self) -> None:
        self.closed = self.closed or "closed"

    def abort(self) -> None:
        self.closed = self.closed or "aborted"

    def writelines(self, parts: Any) -> None:
        self.written += b"".join(parts)

    def write(self, data: bytes) -> None:
        self.written += data

    def get_extra_info(self, name: str, default: object = None) -> object:  # noqa: ARG002  asyncio's
        return default


class Tape:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.raw = bytearray()
        self.items: list[str] = []
        self.channel: object = "unknown"

    def named(self, channel: object) -> None:
        self.channel = channel

    def data(self, view: memoryview) -> None:
        self.raw += view

    def item(self, item: Item) -> None:
        self.items.append(item.record)

    def reply(self, item: Item) -> None:
        self.items.append(f"-> {item.name}")

    def closed(self, why: str) -> None:
        self.items.append(f"closed {why}".strip())


class Scene:
    """A gate between a socket and a reader, under rules."""

    def __init__(self, rules: str = "", reader: Reader | None = None, room: int = ROOM) -> None:
        self.bench = Bench(rules)
        self.reader = reader or Reader()
        self.socket = Socket()
        self.tape = Tape()
        self.gate = Gate(
            self.bench.orders,
            self.reader,
            HeapPool(),
            DEFAULT_LIMITS,
            room,
            self.tape,
        )
        self.gate.connection_made(self.socket)

    def receive(self, data: bytes) -> None:
        """As a loop does it: into the buffer it is given, while the gate reads."""
        view = memoryview(data)
        while view and self.socket.reading and not self.socket.closed:
            room = self.gate.get_buffer(-1)
            count = min(len(room), len(view))
            room[:count] = view[:count]
            self.gate.buffer_updated(count)
            view = view[count:]
        self.left = len(view)


def channel0() -> bytes:
    return recorded("qemu-10.0-none-2ch")["mfd0.bin"]


def main_channel() -> bytes:
    return recorded("qemu-10.0-none-2ch")["main.bin"]


@pytest.mark.parametrize("raw", [channel0(), main_channel(), b"GET / HTTP/1.0\r\n\r\n"])
def test_without_rules_the_reader_sees_every_byte_as_it_came(raw: bytes) -> None:
    scene = Scene(room=0)
    scene.receive(raw)
    assert bytes(scene.reader.got) == raw == bytes(scene.tape.raw)
    scene.gate.eof_received()
    assert scene.reader.ends == ["eof"]
    assert scene.socket.closed == "closed"


def test_a_reader_that_stops_in_a_packet_goes_on_where_it_stopped() -> None:
    raw = channel0()
    scene = Scene(reader=Reader(stop_at=HELLO_SIZE + SYNC_SIZE + 5000))
    scene.receive(raw)
    assert len(scene.reader.got) == HELLO_SIZE + SYNC_SIZE + 5000
    scene.reader.go_on()
    assert bytes(scene.reader.got) == raw


def test_without_rules_nothing_is_read_ahead_of_a_reader_that_stands_still() -> None:
    scene = Scene(reader=Reader(stop_at=HELLO_SIZE), room=0)
    scene.receive(channel0())
    assert not scene.socket.reading
    assert scene.left > 0
    scene.reader.go_on()
    assert scene.socket.reading


def test_with_rules_it_is_read_ahead_as_far_as_there_is_room() -> None:
    scene = Scene(reader=Reader(stop_at=HELLO_SIZE), room=100_000)
    scene.receive(channel0())
    assert not scene.socket.reading
    assert 100_000 <= len(scene.tape.raw) < 100_000 + 600_000


def test_a_rule_finds_a_packet_behind_the_one_that_waits_for_it() -> None:
    scene = Scene(
        '[[order]]\ntype = "after"\nselect = { flag = "sync", nth = 1 }\n'
        'attributes = { packet = { flag = "ram" } }\n'
    )
    raw = channel0()
    scene.receive(raw)
    first, pages = raw[HELLO_SIZE : HELLO_SIZE + SYNC_SIZE], raw[HELLO_SIZE + SYNC_SIZE : 371392]
    assert bytes(scene.reader.got) == raw[:HELLO_SIZE] + pages + first + raw[371392:]


def test_the_end_of_a_connection_waits_behind_what_is_held() -> None:
    scene = Scene(
        '[[order]]\ntype = "hold"\nselect = { flag = "sync", nth = 3 }\n'
        'attributes = { until = { event = "go" } }\n'
    )
    raw = channel0()
    scene.receive(raw)
    scene.gate.eof_received()
    assert scene.reader.ends == []
    scene.bench.orders.event("go", {})
    assert bytes(scene.reader.got) == raw
    assert scene.reader.ends == ["eof"]


def test_a_connection_that_ends_inside_a_packet_ends_with_that_error() -> None:
    scene = Scene()
    scene.receive(channel0()[:5000])
    scene.gate.eof_received()
    (error,) = scene.reader.ends
    assert isinstance(error, MigemuError)
    assert "inside a RAM packet's pages" in str(error)


def test_bytes_that_break_the_protocol_end_it_behind_what_was_whole() -> None:
    scene = Scene()
    raw = channel0()[: HELLO_SIZE + SYNC_SIZE]
    scene.receive(raw + b"\xff" * 64)
    assert bytes(scene.reader.got) == raw
    assert "received packet magic ffffffff" in str(scene.reader.ends[0])


def test_a_lost_connection_is_a_loss_behind_the_gate_too() -> None:
    scene = Scene()
    scene.receive(channel0()[: HELLO_SIZE + SYNC_SIZE])
    scene.gate.connection_lost(ConnectionResetError("reset"))
    assert [type(end) for end in scene.reader.ends] == [ConnectionResetError]


def test_a_connection_may_be_accepted_late() -> None:
    scene = Scene(
        '[[order]]\ntype = "delay"\nselect = { record = "Connect" }\nattributes = { latency = "1 s" }\n'
    )
    assert scene.reader.transport is None
    assert not scene.socket.reading
    scene.bench.clock.pass_by(1)
    scene.receive(channel0())
    assert len(scene.reader.got) == len(channel0())


def test_or_not_at_all() -> None:
    scene = Scene('[[order]]\ntype = "refuse"\nselect = { record = "Connect" }\n')
    assert scene.socket.closed == "aborted"
    assert (scene.reader.transport, scene.reader.ends) == (None, [None])


def test_a_rule_may_cut_a_connection_for_both_its_ends() -> None:
    scene = Scene('[[order]]\ntype = "truncate"\nselect = { flag = "ram" }\nattributes = { bytes = 2000 }\n')
    scene.receive(channel0())
    assert len(scene.reader.got) == HELLO_SIZE + SYNC_SIZE + 2000
    assert scene.reader.ends == ["eof"]
    assert scene.socket.closed == "closed"


def test_answers_go_through_the_return_paths_rules_and_a_close_waits_for_them() -> None:
    scene = Scene(
        '[[order]]\ntype = "drop"\nstream = "return"\nselect = { message = "PONG" }\n'
        '[[order]]\ntype = "delay"\nstream = "return"\nselect = { message = "SHUT" }\n'
        'attributes = { latency = "2 s" }\n'
    )
    scene.receive(main_channel())
    scene.reader.transport.write(pong(1))
    scene.reader.transport.write(shut(0))
    scene.reader.transport.close()
    assert (bytes(scene.socket.written), scene.socket.closed) == (b"", "")
    scene.bench.clock.pass_by(2)
    assert (bytes(scene.socket.written), scene.socket.closed) == (shut(0), "closed")


def test_what_is_recorded_is_what_came_with_its_order() -> None:
    scene = Scene('[[order]]\ntype = "drop"\nselect = { flag = "ram" }\n')
    scene.receive(channel0())
    scene.gate.eof_received()
    assert scene.tape.channel == 0
    assert bytes(scene.tape.raw) == channel0()
    ram = ["RamPacket"] * 4
    assert scene.tape.items == ["Connect", "Hello", *ram, "closed", "Close"]
