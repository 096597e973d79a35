"""Where order rules and recordings stand at the destination: between each socket and whoever reads it.

A gate is the protocol of a real connection. It cuts what arrives into packets, lets them go through the
lane's rules, and feeds what is left to the protocol behind it, which sees a transport of its own and knows of
nothing. While it stands still the socket is read ahead only as far as `room` allows, so that a packet that is
waited for can be found behind the one that waits.

Without rules and without a recording there is no gate, and nothing here costs anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from migemu.link.order_answers import Answers, reset
from migemu.link.order_arrive import Arrivals
from migemu.link.order_face import Face
from migemu.link.order_item import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.link.order import Orders
    from migemu.link.order_follow import Follow
    from migemu.link.order_item import Part
    from migemu.link.order_tape import Tape
    from migemu.link.order_verdict import EndHow
    from migemu.wire.buffers import Pool
    from migemu.wire.limits import WireLimits


class Gate(asyncio.BufferedProtocol):
    """One connection; see the module.

    Args:
        orders: the armed rules.
        inner: the protocol behind the gate.
        pool: where payloads are put.
        limits: what may be announced.
        room: bytes it may read ahead.
        tape: where it is recorded, if it is.
        follow: the recorded order that packets keep to, if there is one.
    """

    def __init__(
        self,
        orders: Orders,
        inner: asyncio.BufferedProtocol,
        pool: Pool,
        limits: WireLimits,
        room: int,
        tape: Tape | None,
        follow: Follow | None = None,
    ) -> None:
        self.inner = inner
        self.lane = orders.make_lane("in", None, self)
        self.lane.on_pumped = self.throttle
        self.face = Face(self)
        self.tape = tape
        self._orders = orders
        self._follow = follow
        self._early = 0
        self._arrivals = Arrivals(pool, limits)
        self._room = room
        self._real: Any = None
        self._view = memoryview(b"")
        self._rest: deque[memoryview] = deque()
        self._feeding = False
        self._reading = True
        self._over = False  # nothing more will come
        self._ended = False  # and the protocol behind knows
        self._told = False  # that the connection is gone
        self._lost: tuple[Exception | None] | None = None

    # the real connection

    def connection_made(self, transport: Any) -> None:
        """It was accepted: that is an item like any other."""
        self._real = transport
        self.face.attach(transport)
        self._offer([Item("in", None, "Connect", begin=self._begin, deny=self._deny)])

    def _begin(self, _item: Item) -> bool:
        self.face.open = True
        self.inner.connection_made(self.face)
        return True

    def _deny(self, _rule: str) -> None:
        reset(self._real)
        self.inner.connection_lost(None)
        self._told = True

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Where the next bytes of the socket go."""
        self._view = self._arrivals.get_buffer()
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Everything that is complete gets in line."""
        if self.tape is not None:
            self.tape.data(self._view[:nbytes])
        self._offer(self._arrivals.received(nbytes))
        if self._arrivals.error is not None:
            self._finish(None, eof=False)
        self.throttle()

    def _offer(self, items: Sequence[Item]) -> None:
        if self.lane.channel is None and self._arrivals.channel is not None:
            self.lane.channel = self._arrivals.channel
            if self.tape is not None:
                self.tape.named(self.lane.channel)
        for item in items:
            self._early += item.size
            if self._follow is None:
                self._arrive(item)
            else:
                self._follow.come(self.lane.channel, self._arrive, item)

    def _arrive(self, item: Item) -> None:
        self._early -= item.size
        if self.tape is not None:
            self.tape.item(item)
        self.lane.offer(item)

    def throttle(self) -> None:
        """Read on only while what waits is within bounds."""
        waiting = self.lane.bytes + self.lane.aside_bytes + sum(map(len, self._rest)) + self._early
        waiting = 0 if self.lane.closed else waiting
        stop = waiting > self._room or (not self._room and self.face.paused) or not self.face.open
        if stop == self._reading and self._real is not None and not self._real.is_closing():
            self._reading = not stop
            self._real.pause_reading() if stop else self._real.resume_reading()

    # the lane's outlet: the protocol behind the gate

    def ready(self) -> bool:
        """Whether the reader behind the gate takes anything now."""
        return not (self.face.paused or self._rest)

    def send(self, parts: Sequence[Part]) -> bool:
        """Feed the reader behind the gate; False: it stopped inside the packet."""
        self._rest.extend(memoryview(part) for part in parts if part)
        return self._feed()

    def _feed(self) -> bool:
        self._feeding = True
        try:
            while self._rest and not self.face.paused and not self.face.is_closing():
                self._feed_some()
        finally:
            self._feeding = False
        if self.face.is_closing():
            self._rest.clear()
        return not self._rest

    def _feed_some(self) -> None:
        view = self._rest.popleft()
        room = memoryview(self.inner.get_buffer(-1))
        count = min(len(room), len(view))
        room[:count] = view[:count]
        if count < len(view):
            self._rest.appendleft(view[count:])
        self.inner.buffer_updated(count)

    def resumed(self) -> None:
        """The reader behind the gate takes more."""
        if self._feeding:
            return
        if self._rest and self._feed():
            self.lane.sent()
        self.lane.pump()

    def answers(self, real: Any) -> Answers:
        """The return path's lane."""
        return Answers(self._orders, real, self.tape)

    def end(self, how: EndHow, rule: str) -> None:
        """A rule ends the connection: the reader behind sees the peer do it, and so does the peer."""
        self._over = self._ended = True
        if how == "reset":
            reset(self._real)
            self._tell_lost(ConnectionResetError(f"order rule {rule} reset the connection"))
        elif not self.inner.eof_received() or how == "whole":
            self._real.close()

    # the end

    def eof_received(self) -> bool:
        """The peer sends nothing more; we stay until everything before that has passed."""
        self._finish(None, eof=True)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; its reader learns that behind everything it still gets."""
        self._lost = (exc,)
        if self.face.is_closing() or self._ended:
            self._tell_lost(exc)
        else:
            self._finish(exc, eof=False)

    def _finish(self, exc: Exception | None, *, eof: bool) -> None:
        """No more bytes: that too waits for its turn."""
        if self._over:
            return
        self._over = True
        self._offer(self._arrivals.ended())
        error = self._arrivals.error or exc
        if self.tape is not None:
            self.tape.closed(str(error or ""))

        def begin(_item: Item) -> bool:
            return self._close_inner(error, eof=eof)

        if self.lane.closed:
            self._close_inner(error, eof=eof)
        else:
            self._offer([Item("in", self.lane.channel, "Close", begin=begin)])

    def _close_inner(self, error: Exception | None, *, eof: bool) -> bool:
        self._ended = True
        if error is not None or not eof:
            self._tell_lost(error)
            self._real.abort()
        elif not self.inner.eof_received():
            self._real.close()
        if self._lost is not None:
            self._tell_lost(*self._lost)
        return True

    def _tell_lost(self, exc: Exception | None) -> None:
        if self._told:
            return
        self._told = True
        self.inner.connection_lost(exc)
        self.lane.close()
        self.face.lost()
