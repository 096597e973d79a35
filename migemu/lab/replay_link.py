"""One connection of a replay: recorded bytes out, through order rules if there are any; answers in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from migemu.errors import ConnectionLostError, MigemuError
from migemu.link.order_answers import reset
from migemu.link.order_item import Item
from migemu.wire.returnpath import ReturnPathReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.link.order import Orders
    from migemu.link.order_item import Channel, Part
    from migemu.link.order_verdict import EndHow
    from migemu.wire.returnpath import Message


class ReplayLink(asyncio.Protocol):
    """One connection to the destination.

    Args:
        orders: rules, perhaps none.
        channel: which channel it is, or will say it is.
        moved: called whenever something happened here.
        message: told of every answer.

    Attributes:
        lost: why nothing can be sent any more.
        given: bytes that were handed over and have not been sent, dropped or set aside.
    """

    def __init__(
        self,
        orders: Orders,
        channel: Channel,
        moved: Callable[[], None],
        message: Callable[[Message], None],
    ) -> None:
        self.lost: MigemuError | None = None
        self.given = 0
        self.lane = orders.make_lane("out", channel, self)
        self.lane.on_pumped = moved
        self._moved = moved
        self._message = message
        self._reader = ReturnPathReader()
        self._transport: Any = None
        self._writing = False
        self._closing = False

    def connection_made(self, transport: Any) -> None:
        """Ask to be told when everything has left."""
        self._transport = transport
        transport.set_write_buffer_limits(high=0, low=0)
        self.lane.sent()

    def turn(self, begin: Callable[[Item], bool], deny: Callable[[str], None]) -> None:
        """It is to be connected, when the rules allow it."""
        self.lane.offer(Item("out", self.lane.channel, "Connect", begin=begin, deny=deny))

    def offer(self, item: Item) -> None:
        """The next packet."""
        size = item.size
        self.given += size

        def settled() -> None:
            self.given -= size
            self._moved()

        item.settle = settled
        self.lane.offer(item)

    def waits(self) -> bool:
        """Whether a packet is held back here by a rule, or cannot be sent any more."""
        return bool(self.lane.blocked) or self.lane.stalled or self.lane.closed

    # the lane's outlet

    def ready(self) -> bool:
        """One packet at a time."""
        return not self._writing

    def send(self, parts: Sequence[Part]) -> bool:
        """Write; False: the kernel has not taken all of it."""
        if self._transport is None or self._transport.is_closing():
            return True
        self._writing = True
        self._transport.writelines(parts)
        if self._transport.get_write_buffer_size() == 0:
            self._writing = False
        return not self._writing

    def resume_writing(self) -> None:
        """Everything has left for the kernel."""
        if self._writing:
            self._writing = False
            self.lane.sent()
            self.lane.pump()

    def end(self, how: EndHow, rule: str) -> None:
        """A rule ends the connection."""
        if how == "half":
            self._transport.write_eof()
            return
        self.lost = ConnectionLostError(f"order rule {rule} ended the connection", channel=self.lane.channel)
        self.close(abort=how == "reset")
        self._moved()

    # answers

    def data_received(self, data: bytes) -> None:
        """Messages of the return path."""
        try:
            for message in self._reader.feed(data):
                self._message(message)
        except MigemuError as error:
            self.lost = error
        self._moved()

    def connection_lost(self, exc: Exception | None) -> None:
        """The destination has closed it, or we have."""
        if not self._closing and self.lost is None:
            why = f"connection failed: {exc}" if exc else "closed by the destination"
            self.lost = ConnectionLostError(why, channel=self.lane.channel)
        self.lane.close()
        self._moved()

    def half_close(self) -> None:
        """Nothing more is sent; answers may still come."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self, *, abort: bool = False) -> None:
        """Let go."""
        self._closing = True
        if self._transport is None:
            return
        if abort:
            reset(self._transport)
        else:
            self._transport.close()
