"""Where order rules stand at the source: between whoever sends and each of its connections.

A ruled channel takes the place of a connection's outlet, and hands on to it what the rules leave. A packet
that is held keeps its channel busy, as a slow network would; one that is set aside or dropped does not.
Without rules none of this is there.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from migemu.errors import ConnectionLostError, MigemuError
from migemu.link.order_answers import reset
from migemu.link.order_arm import arm, rules_for
from migemu.link.order_item import Item, Sections, of_bytes
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.link.order import Orders
    from migemu.link.order_item import Channel, Part
    from migemu.link.order_lane import Lane
    from migemu.link.order_verdict import EndHow
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

    Post = Callable[..., None]
    Lost = Callable[[MigemuError], None]


class Connection(Protocol):
    """One connection of the source, as far as it is needed here."""

    def close(self, *, abort: bool = False) -> None:
        """Say goodbye, or reset."""
        ...


@dataclass(slots=True)
class Piece:
    """What a link is given to send."""

    header: Part
    payload: Part | None


class Ruled:
    """What both kinds of ruled connection share.

    Args:
        orders: the armed rules.
        channel: whose connection it is.
        outlet: what takes the bytes.
        link: the connection itself.
        post: has a function called on the loop, from any thread.
        lost: told when a rule ended it.
    """

    def __init__(
        self, orders: Orders, channel: Channel, outlet: Any, link: Connection, post: Post, lost: Lost
    ) -> None:
        self.channel = channel
        self._outlet = outlet
        self._link = link
        self._post = post
        self.lane: Lane = orders.make_lane("out", channel, self)
        self._lost = lost
        self._handle: Any = None
        self._busy = False

    def attach(self, handle: Any) -> None:
        """The connection is made: its socket or transport."""
        self._handle = handle
        self.lane.sent()

    def ready(self) -> bool:
        """One packet at a time is under way."""
        return not self._busy

    def send(self, parts: Sequence[Part]) -> bool:
        """Hand on to the connection."""
        self._busy = True
        self._hand_on(parts)
        return not self._busy

    def _hand_on(self, parts: Sequence[Part]) -> None:
        raise NotImplementedError

    def _gone(self) -> None:
        """The kernel has it."""
        self._busy = False
        self.lane.sent()
        self.lane.pump()

    def end(self, how: EndHow, rule: str) -> None:
        """A rule ends the connection."""
        if how == "half":
            self._half_close()
            return
        self._close(abort=how == "reset")
        did = "reset" if how == "reset" else "closed"
        self._lost(ConnectionLostError(f"order rule {rule} {did} the connection", channel=self.channel))

    def _half_close(self) -> None:
        if isinstance(self._handle, socket.socket):
            self._handle.shutdown(socket.SHUT_WR)
        elif self._handle is not None and self._handle.can_write_eof():
            self._handle.write_eof()

    def _close(self, *, abort: bool) -> None:
        raise NotImplementedError


class RuledChannel(Ruled):
    """A multifd channel under rules; an outlet of ``SendChannels`` like the link behind it."""

    def __init__(
        self, orders: Orders, channel: int, outlet: Any, link: Connection, post: Post, lost: Lost
    ) -> None:
        super().__init__(orders, channel, outlet, link, post, lost)
        self.channels: Any = None
        """Whose ``done`` is called when the sender may go on."""
        self._id = channel
        self._inside = False
        outlet.channels = self

    def start(self, packet: Any) -> None:
        """From any thread: send `packet`."""
        self._post(self._offer, packet)

    def _offer(self, packet: Any) -> None:
        item = of_bytes(packet.header, packet.payload, self._id)
        item.settle = lambda: self.channels.done(self._id)
        self.lane.offer(item)

    def hello(self, data: bytes) -> None:
        """The first bytes of the connection."""
        self.lane.offer(Item("out", self._id, "Hello", (data,)))

    def _hand_on(self, parts: Sequence[Part]) -> None:
        header, payload = (*parts, None)[:2] if len(parts) < 3 else (b"".join(parts), None)
        self._inside = True
        self._outlet.start(Piece(header or b"", payload))
        self._inside = False

    def done(self, _channel: int) -> None:
        """From the link: the kernel has taken everything."""
        if self._inside:
            self._busy = False
        else:
            self._gone()

    def _close(self, *, abort: bool) -> None:
        self._link.close(abort=abort)


class RuledMain(Ruled):
    """The main channel of the source under rules; the outlet of its writer."""

    def __init__(self, orders: Orders, outlet: Any, link: Connection, post: Post, lost: Lost) -> None:
        super().__init__(orders, "main", outlet, link, post, lost)
        self.writer: Any = None
        """Whose ``written`` is called when the sender may go on."""
        self._broken = orders.broken
        self._reader = MainReader(HeapPool())
        self._sections = Sections("out")
        self._left = 0
        outlet.writer = self

    def start(self, chunks: Sequence[Part]) -> None:
        """From the migration thread: send `chunks`, which records may begin and end anywhere in."""
        self._post(self._take, chunks)

    def _take(self, chunks: Sequence[Part]) -> None:
        try:
            found = [record for chunk in chunks for record in self._reader.feed(chunk)]
        except MigemuError as error:
            self._broken(error)
            return
        for record in found:
            item = self._sections.item(record)
            item.settle = lambda size=item.size: self.writer.written(size)
            self.lane.offer(item)

    def _hand_on(self, parts: Sequence[Part]) -> None:
        self._left = sum(map(len, parts))
        if self._left:
            self._outlet.start(tuple(parts))
        else:
            self._busy = False

    def written(self, size: int) -> None:
        """From the link: so many bytes have left."""
        self._left -= size
        if not self._left:
            self._gone()

    def _close(self, *, abort: bool) -> None:
        if abort and self._handle is not None:
            reset(self._handle)
        self._link.close(abort=abort)


class Outgoing:
    """The connections of one source under rules.

    Args:
        orders: the armed rules.
        post: has a function called on the loop, from any thread.

    Attributes:
        on_extra: opens one connection more, as a rule that duplicates a Connect asks.
    """

    def __init__(self, orders: Orders, post: Post) -> None:
        self.orders = orders
        self.on_extra: Callable[[Channel], None] = lambda _channel: None
        self._post = post
        self._ruled: dict[Channel, Ruled] = {}

    def main(self, outlet: Any, link: Connection, lost: Lost) -> RuledMain:
        """What the main channel's writer writes to instead of `outlet`."""
        made = RuledMain(self.orders, outlet, link, self._post, lost)
        self._ruled["main"] = made
        return made

    def channel(self, channel: int, outlet: Any, link: Connection, lost: Lost) -> RuledChannel:
        """What packets of a multifd channel are handed to instead of `outlet`."""
        made = RuledChannel(self.orders, channel, outlet, link, self._post, lost)
        self._ruled[channel] = made
        return made

    def turn(self, channel: Channel) -> asyncio.Future[None]:
        """Done when this channel may connect; an error if a rule refuses it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begin(item: Item) -> bool:
            if item.copied:
                self.on_extra(channel)
                return True
            if not turn.done():
                turn.set_result(None)
            return False

        def deny(rule: str) -> None:
            if not turn.done():
                turn.set_exception(
                    ConnectionLostError(f"order rule {rule} refused the connection", channel=channel)
                )

        self._ruled[channel].lane.offer(Item("out", channel, "Connect", begin=begin, deny=deny))
        return turn

    def connected(self, channel: Channel, handle: Any, hello: bytes = b"") -> None:
        """A channel is connected; its hello follows."""
        ruled = self._ruled[channel]
        ruled.attach(handle)
        if isinstance(ruled, RuledChannel):
            ruled.hello(hello)

    def finish(self) -> MigemuError | None:
        """The migration is over: what a required rule fell short of."""
        return self.orders.finish()


def arm_source(
    scenario: Scenario,
    threads: Threads,
    loop: asyncio.AbstractEventLoop,
    post: Post,
    broken: Callable[[MigemuError], object],
) -> tuple[Outgoing | None, Threads]:
    """The rules of a source of `scenario`, if it has any, and the seam that it must use from here on."""
    rules = rules_for(scenario, "source")
    if not rules:
        return None, threads
    orders, threads = arm(rules, scenario, threads, loop, broken)
    return Outgoing(orders, post), threads
