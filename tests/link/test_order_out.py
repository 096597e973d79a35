"""Rules on what a source sends: when its channels are free, what leaves, who may connect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from link.order_bench import Bench
from migemu.errors import ConnectionLostError, MigemuError
from migemu.link.order_out import Outgoing
from migemu.wire import mainwriter
from migemu.wire.hello import Hello
from migemu.wire.multifd import encode_device_header


class Link:
    """A connection that keeps what it is given; it may be slow."""

    def __init__(self, channel: int | str = 0, *, slow: bool = False) -> None:
        self.channel = channel
        self.channels: Any = None
        self.writer: Any = None
        self.slow = slow
        self.sent: list[bytes] = []
        self.ended: list[str] = []

    def start(self, packet: Any) -> None:
        if self.channel == "main":
            self.sent.append(b"".join(packet))
        else:
            self.sent.append(bytes(packet.header) + bytes(packet.payload or b""))
        if not self.slow:
            self.taken()

    def taken(self) -> None:
        if self.channel == "main":
            self.writer.written(len(self.sent[-1]))
        else:
            self.channels.done(self.channel)

    def close(self, *, abort: bool = False) -> None:
        self.ended.append("reset" if abort else "closed")


class Channels:
    """Whose channels are free; how much of the main channel has left."""

    def __init__(self) -> None:
        self.free: list[int] = []
        self.left = 0

    def done(self, channel: int) -> None:
        self.free.append(channel)

    def written(self, size: int) -> None:
        self.left += size


class Packet:
    """As save threads hand it over."""

    def __init__(self, idx: int, size: int = 8) -> None:
        self.header = encode_device_header("a/vfio", 0, idx, 0, size)
        self.payload = memoryview(bytes(size))


class Scene:
    """A source's connections under rules."""

    def __init__(self, rules: str, *, slow: bool = False) -> None:
        self.bench = Bench(rules)
        self.out = Outgoing(self.bench.orders, lambda call, *args: call(*args))
        self.lost: list[MigemuError] = []
        self.told = Channels()
        self.link, self.main_link = Link(0, slow=slow), Link("main", slow=slow)
        self.ruled = self.out.channel(0, self.link, self.link, self.lost.append)
        self.main = self.out.main(self.main_link, self.main_link, self.lost.append)
        self.ruled.channels, self.main.writer = self.told, self.told

    def idxs(self) -> list[int]:
        """The idx of what left on channel 0."""
        return [int.from_bytes(raw[280:284]) for raw in self.link.sent]


def test_a_packet_that_no_rule_wants_leaves_as_it_is() -> None:
    scene = Scene("")
    packet = Packet(3)
    scene.ruled.start(packet)
    assert scene.link.sent == [packet.header + packet.payload]
    assert scene.told.free == [0]


def test_a_channel_is_free_when_its_link_has_taken_the_packet() -> None:
    scene = Scene("", slow=True)
    scene.ruled.start(Packet(0))
    assert scene.told.free == []
    scene.link.taken()
    assert scene.told.free == [0]


def test_a_held_packet_keeps_its_channel_busy_and_one_aside_does_not() -> None:
    for kind, free in (("hold", []), ("after", [0])):
        key = "until" if kind == "hold" else "packet"
        scene = Scene(
            f'[[order]]\ntype = "{kind}"\nstream = "out"\nselect = {{ idx = 0 }}\n'
            f'attributes = {{ {key} = {{ event = "go" }} }}\n'
        )
        scene.ruled.start(Packet(0))
        assert (scene.idxs(), scene.told.free) == ([], free)
        scene.bench.orders.event("go", {})
        assert (scene.idxs(), scene.told.free) == ([0], [0])


def test_a_dropped_packet_frees_its_channel() -> None:
    scene = Scene('[[order]]\ntype = "drop"\nstream = "out"\nselect = { idx = 1 }\n')
    for idx in range(3):
        scene.ruled.start(Packet(idx))
    assert (scene.idxs(), scene.told.free) == ([0, 2], [0, 0, 0])


def test_a_connection_that_a_rule_ends_is_lost_by_that_rules_name() -> None:
    scene = Scene(
        '[[order]]\nname = "cut"\ntype = "close"\nstream = "out"\nselect = { idx = 1 }\n'
        'attributes = { how = "reset" }\n'
    )
    for idx in range(3):
        scene.ruled.start(Packet(idx))
    assert scene.idxs() == [0, 1]
    assert scene.link.ended == ["reset"]
    assert [str(error) for error in scene.lost] == ["channel 0: order rule cut reset the connection"]
    assert scene.told.free == [0, 0, 0]  # whoever still sends is not left waiting


def test_records_are_found_wherever_the_chunks_are_cut() -> None:
    rules = '[[order]]\ntype = "drop"\nstream = "out"\nselect = { command = "PING" }\n'
    raw = mainwriter.file_header() + mainwriter.configuration("11.1")
    ping, mark = mainwriter.command(2, bytes(4)), mainwriter.command(11, b"")
    for cut in (1, 3, 7, 64):
        scene, stream = Scene(rules), raw + ping + mark
        for at in range(0, len(stream), cut):
            scene.main.start((stream[at : at + cut],))
        assert b"".join(scene.main_link.sent) == raw + mark
        assert scene.told.left == len(stream)  # the writer's account closes, whatever became of the bytes


def test_a_duplicated_command_leaves_twice_and_counts_once() -> None:
    scene = Scene('[[order]]\ntype = "duplicate"\nstream = "out"\nselect = { command = "PING" }\n')
    stream = mainwriter.file_header() + mainwriter.configuration("11.1") + mainwriter.command(2, bytes(4))
    scene.main.start((stream,))
    assert b"".join(scene.main_link.sent) == stream + mainwriter.command(2, bytes(4))
    assert scene.told.left == len(stream)


async def test_a_channel_connects_when_its_turn_has_come() -> None:
    scene = Scene(
        '[[order]]\ntype = "hold"\nstream = "out"\nselect = { record = "Connect", channel = "main" }\n'
        'attributes = { until = { record = "Hello", channel = 0 } }\n'
    )
    first, second = scene.out.turn("main"), scene.out.turn(0)
    assert (first.done(), second.done()) == (False, True)
    scene.out.connected(0, None, Hello(bytes(16), 0).encode())
    assert first.done()
    assert scene.link.sent == [Hello(bytes(16), 0).encode()]


async def test_or_is_refused_by_name() -> None:
    scene = Scene(
        '[[order]]\nname = "no"\ntype = "refuse"\nstream = "out"\n'
        'select = { record = "Connect", channel = 0 }\n'
    )
    with pytest.raises(ConnectionLostError, match="channel 0: order rule no refused the connection"):
        await asyncio.wait_for(scene.out.turn(0), 1)


async def test_a_duplicated_connect_opens_one_connection_more() -> None:
    scene = Scene(
        '[[order]]\ntype = "duplicate"\nstream = "out"\nselect = { record = "Connect", channel = 0 }\n'
    )
    extra: list[object] = []
    scene.out.on_extra = extra.append
    turn = scene.out.turn(0)
    assert (turn.done(), extra) == (True, [])
    scene.out.connected(0, None, b"hello")
    assert extra == [0]
