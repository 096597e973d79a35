"""Keeping to a recorded order: incoming packets pass one after the other as they did when they were recorded.

Which channel is next is all that is asked: within a channel the order is the connection's own. A packet whose
channel is not next waits at the head of its line. When the next one does not come in time, because this
migration is not the recorded one, the order is given up, and the run says so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from migemu.link.order_verdict import Trigger, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.link.order_item import Channel, Item

UNORDERED: Final = ("Connect", "Close", "Bytes")
"""Which channel a new connection is, nobody knows yet; that it ended says nothing of what came before."""


class Follow:
    """A recorded order, in the form of a rule that comes before all others.

    Args:
        channels: whose packet passed, one after the other; read as it is needed.

    Attributes:
        fired: packets that passed in their place.
        expired: 1 when the order was given up.
    """

    name: Final = "recorded-order"
    type: Final = "follow"
    stream: Final = "in"
    required: Final = True
    tells: Final = False

    def __init__(self, channels: Iterator[Channel]) -> None:
        self._channels = channels
        self._next: Channel = None
        self._waiting: deque[tuple[Channel, Trigger]] = deque()
        self._limit = 0.0
        self.fired = 0
        self._given_up = False

    def begin(self, limit: float) -> None:
        """`limit`: seconds after which the next packet will not come any more."""
        self._limit = limit
        self._advance()

    def _advance(self) -> None:
        """The next packet, and whoever waits for its turn to be."""
        self._next = next(self._channels, None)
        for channel, trigger in list(self._waiting):
            if self._over() or channel == self._next:
                self._waiting.remove((channel, trigger))
                trigger.meet()

    def _over(self) -> bool:
        return self._given_up or self._next is None

    @property
    def expired(self) -> int:
        """Whether the order was given up."""
        return int(self._given_up)

    @expired.setter
    def expired(self, _times: int) -> None:
        """A packet has waited too long: from here on nothing waits any more."""
        if not self._given_up:
            self._given_up = True
            self._advance()

    def consider(self, item: Item) -> Wait | None:
        """Whose turn is it?"""
        if item.record in UNORDERED or self._over():
            return None
        self.fired += 1
        item.passing = self._advance
        if item.channel == self._next:
            return None
        turn = Trigger("its turn in the recorded order")
        self._waiting.append((item.channel, turn))
        return Wait(self._limit, turn)

    @property
    def done(self) -> bool:
        """Whether the whole order was kept."""
        return not self._given_up

    def shortfall(self) -> str:
        """Why it was not."""
        return (
            f"the recorded order was given up behind packet {self.fired}: the next one, of channel "
            f"{self._next}, did not come"
        )
