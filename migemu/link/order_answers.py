"""The return path under rules: what the destination answers, message by message."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from migemu.link.order_item import of_message
from migemu.wire.returnpath import ReturnPathReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.link.order import Orders
    from migemu.link.order_item import Part
    from migemu.link.order_lane import Lane
    from migemu.link.order_tape import Tape
    from migemu.link.order_verdict import EndHow

LINGER_NONE: Final = b"\1\0\0\0\0\0\0\0"
"""struct linger: closing the socket resets the connection."""


def reset(transport: Any) -> None:
    """Close so that the other side sees a reset."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    transport.abort()


class Answers:
    """The return path: what the protocol behind a gate writes, message by message, through its lane."""

    def __init__(self, orders: Orders, real: Any, tape: Tape | None) -> None:
        self.lane: Lane = orders.make_lane("return", "main", self)
        self.lane.on_pumped = self._pumped
        self._reader = ReturnPathReader()
        self._real = real
        self._tape = tape
        self._closing = False

    def write(self, data: bytes) -> None:
        """Whole messages."""
        for message in self._reader.feed(data):
            item = of_message(message)
            if self._tape is not None:
                self._tape.reply(item)
            self.lane.offer(item)

    def close(self) -> None:
        """Close the connection when everything has gone that may still go."""
        self._closing = True
        self._pumped()

    def _pumped(self) -> None:
        if self._closing and (self.lane.idle or self.lane.stalled):
            self._real.close()

    def ready(self) -> bool:
        """A message is small: the transport takes it."""
        return True

    def send(self, parts: Sequence[Part]) -> bool:
        """To the real connection."""
        if not self._real.is_closing():
            self._real.writelines(parts)
        return True

    def end(self, how: EndHow, rule: str) -> None:  # noqa: ARG002  the source says which rule it was not
        """A rule ends the connection."""
        if how == "reset":
            reset(self._real)
        elif how == "half":
            self._real.write_eof()
        else:
            self._real.close()
