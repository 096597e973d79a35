"""Lanes under rules without a socket or a clock: what the stories of order rules share."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING, Any

from migemu.link.order import Orders
from migemu.link.order_item import Item
from migemu.scenario import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.errors import MigemuError
    from migemu.link.order_item import Channel, Part
    from migemu.link.order_lane import Lane
    from migemu.scenario import Order

BASE = '[migration]\nchannels = 4\n[[device]]\nid = "a"\n[[device]]\nid = "b"\n'


def rules(text: str) -> tuple[Order, ...]:
    """The rules of a scenario with four channels and the devices a and b."""
    return loads(BASE + text, environ={}).order


class Timer:
    """A call to come."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """Time that only moves when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, int, Timer, Callable[[], None]]] = []
        self._numbers = count()

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer()
        heapq.heappush(self._calls, (self.now + seconds, next(self._numbers), timer, call))
        return timer

    def pending(self) -> int:
        """Calls to come."""
        return sum(not timer.cancelled for _, _, timer, _ in self._calls)

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            self.now, _, timer, call = heapq.heappop(self._calls)
            if not timer.cancelled:
                call()
        self.now = end


class Sink:
    """Keeps what a lane lets go; may be told to have no room."""

    def __init__(self, log: list[tuple[Channel, str]], channel: Channel) -> None:
        self._log = log
        self._channel = channel
        self.room = True
        self.said: list[str] = []
        self.ended: list[str] = []

    def ready(self) -> bool:
        return self.room

    def send(self, parts: Sequence[Part]) -> bool:
        text = b"".join(parts).decode()
        self.said.append(text)
        self._log.append((self._channel, text))
        return True

    def end(self, how: str, rule: str) -> None:
        self.ended.append(f"{how} by {rule}")


class Bench:
    """One side: its rules, its lanes, and what comes out of them."""

    def __init__(self, text: str, *, seed: int = 1, room: int = 1 << 20) -> None:
        self.clock = Clock()
        self.log: list[tuple[Channel, str]] = []
        self.events: list[tuple[str, dict[str, object]]] = []
        self.errors: list[MigemuError] = []
        self.sinks: dict[Channel, Sink] = {}
        self.lanes: dict[Channel, Lane] = {}
        self.orders = Orders(
            rules(text),
            seed=seed,
            patience=10.0,
            room=room,
            threads=self,  # type: ignore[arg-type]  # only point() is asked of it
            later=self.clock.later,
            post=lambda call: call(),
            broken=self.errors.append,
        )

    def now(self) -> float:
        return self.clock.now

    def point(self, event: str, /, **fields: object) -> None:
        self.events.append((event, fields))

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.events if name == event]

    def lane(self, channel: Channel, stream: str = "in") -> Lane:
        if channel not in self.lanes:
            self.sinks[channel] = Sink(self.log, channel)
            self.lanes[channel] = self.orders.make_lane(stream, channel, self.sinks[channel])
        return self.lanes[channel]

    def come(self, *items: Item) -> None:
        """Items arrive, each on its own channel."""
        for item in items:
            self.lane(item.channel, item.stream).offer(item)

    def said(self, channel: Channel) -> str:
        """What left a lane so far, words with blanks between."""
        self.lane(channel)
        return " ".join(self.sinks[channel].said)

    def everything(self) -> str:
        """What left all lanes, in its order."""
        return " ".join(text for _, text in self.log)


def data(device: str, idx: int, channel: int = 0, **more: Any) -> Item:
    """A device packet; its bytes are its name, for example a3."""
    return Item(
        "in",
        channel,
        "DevicePacket",
        (f"{device}{idx}".encode(),),
        f"{device}/vfio",
        idx,
        frozenset({"data"}),
        **more,
    )


def config(device: str, idx: int, channel: int = 0) -> Item:
    """A config packet: aC."""
    return Item(
        "in",
        channel,
        "DevicePacket",
        (f"{device}C".encode(),),
        f"{device}/vfio",
        idx,
        frozenset({"config"}),
    )


def ram(name: str, channel: int = 0) -> Item:
    """A RAM packet with pages."""
    return Item("in", channel, "RamPacket", (name.encode(),), flags=frozenset({"ram"}))


def sync(channel: int = 0) -> Item:
    """A SYNC packet."""
    return Item("in", channel, "RamPacket", (b"S",), flags=frozenset({"sync"}))


def main(record: str, name: str = "", section: str = "", within: str = "", flags: str = "") -> Item:
    """A record of the main channel; its bytes are its name, or what it is."""
    text = (name or record).encode()
    marks = frozenset(flags.split())
    return Item("in", "main", record, (text,), name=name, section=section, within=within, flags=marks)


def section(idstr: str, *body: str) -> list[Item]:
    """A SECTION_FULL with its body and footer; the body's bytes are what is given."""
    head = Item("in", "main", "SectionFull", (f"<{idstr}".encode(),), section=idstr, within="SectionFull")
    inner = [
        Item("in", "main", "Opaque", (text.encode(),), section=idstr, within="SectionFull") for text in body
    ]
    foot = Item("in", "main", "Footer", (b">",), section=idstr, within="SectionFull")
    return [head, *inner, foot]
