"""Connections on a slower link, on a clock of the test's own: never too fast, never out of order."""

from __future__ import annotations

import heapq
import itertools
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.errors import WireError
from migemu.link.pacing import SO_MAX_PACING_RATE
from migemu.scenario import Link
from migemu.source.channels import Packet
from migemu.source.onlink import Pacing
from migemu.wire.returnpath import Message

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1_000_000


class World:
    """A clock, a loop whose timers are a millisecond coarse, and a courier that is there at once."""

    def __init__(self) -> None:
        self.time = 100.0
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self.time

    def lock(self, _name: str) -> Any:
        return Unlocked()

    def call_later(self, delay: float, call: Callable[[], None]) -> None:
        coarse = round(self.time + delay, 3)
        heapq.heappush(self._calls, (max(coarse, self.time), next(self._numbers), call))

    def post(self, call: Callable[..., None], *args: Any) -> None:
        call(*args)

    def run(self, until: float = float("inf")) -> None:
        while self._calls and self._calls[0][0] <= until:
            self.time, _, call = heapq.heappop(self._calls)
            call()
        self.time = self.time if until == float("inf") else until


class Unlocked:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass
class Wire:
    """A connection: what reached it, and when; it is done at once unless it is `stuck`."""

    world: World
    channel: int = 0
    channels: Any = None
    writer: Any = None
    stuck: bool = False
    arrived: list[tuple[float, Any]] = field(default_factory=list)

    def start(self, item: Any) -> None:
        self.arrived.append((self.world.time, item))
        if not self.stuck:
            self.go_on()

    def go_on(self) -> None:
        if self.writer is not None:
            self.writer.written(sum(map(len, self.arrived[-1][1])))
        else:
            self.channels.done(self.channel)

    def times(self) -> list[float]:
        return [round(time - 100.0, 3) for time, _ in self.arrived]


@dataclass
class Sender:
    """Sends `left` packets over its channel, the next as soon as it is free."""

    world: World
    outlet: Any
    left: int
    size: int = MB
    free: list[float] = field(default_factory=list)
    released: list[float] = field(default_factory=list)

    def begin(self) -> Sender:
        self.outlet.channels = self
        self.send()
        return self

    def send(self) -> None:
        self.left -= 1
        payload = memoryview(bytes(self.size))
        self.outlet.start(Packet(b"", payload, lambda: self.released.append(self.world.time - 100.0)))

    def done(self, _channel: int) -> None:
        self.free.append(self.world.time - 100.0)
        if self.left:
            self.send()


def pacing(world: World, lost: Callable[[Any], None] = lambda _: None, **link: Any) -> Pacing:
    return Pacing(Link(**link), world, world, world, lost)  # type: ignore[arg-type]  # the world plays all three


def test_without_a_link_nothing_stands_between() -> None:
    world = World()
    wires = [Wire(world)]
    assert pacing(world).outlets(wires) is wires
    assert pacing(world, per_channel=10 * MB).outlets(wires) is wires
    main: Any = Wire(world)
    returns: Any = object()
    assert pacing(world).main(main) is main
    assert pacing(world, rate=10.0).returns(returns) is returns


@given(st.integers(1, 6), st.floats(1, 2000), st.integers(1, 30))
def test_channels_together_never_carry_more_than_the_rate(channels: int, mb: float, packets: int) -> None:
    world, rate = World(), mb * MB
    wires = [Wire(world, channel) for channel in range(channels)]
    for outlet in pacing(world, rate=rate).outlets(wires):
        Sender(world, outlet, packets).begin()
    world.run()
    arrivals = sorted(time for wire in wires for time, _ in wire.arrived)
    assert len(arrivals) == channels * packets
    for count, time in enumerate(arrivals, 1):
        assert count * MB <= rate * (time - 100.0) * (1 + 1e-9)


def test_coarse_timers_lose_no_throughput() -> None:
    world = World()
    (outlet,) = pacing(world, rate=1000.0 * MB).outlets([Wire(world)])
    Sender(world, outlet, 300, size=MB // 2).begin()  # 0.5 ms each, timers of 1 ms
    world.run()
    assert world.time - 100.0 == pytest.approx(0.150, abs=0.002)


def test_a_delay_is_latency_and_takes_nothing_from_the_throughput() -> None:
    world, wire = World(), Wire(World())
    wire.world = world
    (outlet,) = pacing(world, rate=100.0 * MB, delay=0.05).outlets([wire])
    sender = Sender(world, outlet, 10).begin()
    world.run()
    assert wire.times() == pytest.approx([0.05 + 0.01 * number for number in range(1, 11)], abs=0.002)
    assert sender.free == pytest.approx([0.01 * number for number in range(1, 11)], abs=0.002)


def test_a_buffer_is_given_back_when_its_bytes_are_there_not_when_the_channel_is_free() -> None:
    world = World()
    (outlet,) = pacing(world, rate=100.0 * MB, delay=0.05).outlets([Wire(world)])
    sender = Sender(world, outlet, 1).begin()
    world.run()
    assert sender.free == pytest.approx([0.01], abs=0.002)
    assert sender.released == pytest.approx([0.06], abs=0.002)


def test_a_kernel_that_does_not_take_what_arrives_holds_the_channel_up() -> None:
    world = World()
    wire = Wire(world, stuck=True)
    (outlet,) = pacing(world, rate=100.0 * MB, delay=0.01).outlets([wire])
    sender = Sender(world, outlet, 9).begin()
    world.run(until=105.0)
    assert len(wire.arrived) == 1
    assert sender.left >= 6  # none but what the link and the delay hold
    before, wire.stuck = sender.left, False
    wire.go_on()
    world.run()
    assert before > sender.left == 0
    assert len(wire.arrived) == 9


def test_the_main_channel_shares_the_budget_and_keeps_its_order() -> None:
    world = World()
    written: list[tuple[int, float]] = []
    link, main = pacing(world, rate=10.0 * MB, delay=0.02), Wire(world)
    outlet: Any = link.main(main)  # type: ignore[arg-type]  # a wire will do
    outlet.writer = Writer(written, world)
    Sender(world, link.outlets([Wire(world, 1)])[0], 1).begin()  # takes the link until 0.1
    buffer = bytearray(b"a" * 500_000)
    outlet.start((memoryview(buffer), b"b"))
    buffer[:] = b"x" * 500_000  # its owner may: nothing but a delay keeps these bytes
    outlet.start((b"c",))
    world.run()
    assert main.times() == pytest.approx([0.17, 0.17], abs=0.003)
    assert bytes(main.arrived[0][1][0][:1]) == b"a"
    assert main.arrived[1][1] == (b"c",)
    assert sum(size for size, _ in written) == 500_002
    assert written[0][1] == pytest.approx(0.15, abs=0.003)  # as soon as the link has them


@dataclass
class Writer:
    told: list[tuple[int, float]]
    world: World

    def written(self, size: int) -> None:
        self.told.append((size, self.world.time - 100.0))


def test_without_a_delay_main_bytes_count_when_the_kernel_has_them() -> None:
    world = World()
    written: list[tuple[int, float]] = []
    main = Wire(world)
    outlet: Any = pacing(world, rate=10.0 * MB).main(main)  # type: ignore[arg-type]  # a wire will do
    outlet.writer = Writer(written, world)
    outlet.start((bytes(MB),))
    world.run()
    assert main.times() == pytest.approx([0.1], abs=0.002)
    ((size, time),) = written
    assert size == MB
    assert time == pytest.approx(0.1, abs=0.002)


def test_the_return_path_is_looked_at_later_and_so_is_its_end() -> None:
    world = World()
    seen: list[tuple[float, Any]] = []
    link = pacing(world, lambda error: seen.append((world.time, str(error))), delay=0.03)

    class Returns:
        def message(self, message: Message) -> None:
            if message.type == 2:
                raise WireError("not now")
            seen.append((world.time, message.type))

    returns = link.returns(Returns())
    returns.message(Message(1, b""))
    link.lost(WireError("gone"))
    world.run()
    assert [what for _, what in seen] == [1, "gone"]
    assert [time for time, _ in seen] == pytest.approx([100.03, 100.03], abs=0.002)
    returns.message(Message(2, b""))
    world.run()
    assert seen[-1][1] == "not now"


def test_each_socket_gets_the_ceiling_of_one_channel() -> None:
    with socket.socket() as one, socket.socket() as other:
        pacing(World(), per_channel=12_500_000.0).ceiling(sock.fileno() for sock in (one, other))
        for sock in (one, other):
            value = sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 8)
            assert struct.unpack("=Q", value)[0] == 12_500_000
    pacing(World()).ceiling([-1])  # without a ceiling no socket is touched


def test_a_channel_that_is_closed_already_has_no_ceiling() -> None:
    pacing(World(), lambda _: None, per_channel=MB).ceiling([-1])
