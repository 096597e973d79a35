"""Keeping to a recorded order: packets arrive one after the other as they did when they were recorded.

Sockets do not keep an order among themselves: what is sent on one after the other may be read the other way
round. So a destination that is to repeat a recording lets a packet arrive only when it is its turn; which
channel that is, is all that is asked, because within a channel the order is the connection's own. When the
next one does not come in time, because this migration is not the recorded one, the order is given up, and the
run says so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.errors import ScheduleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.errors import MigemuError
    from migemu.link.order_item import Channel, Item
    from migemu.threads.api import Threads

UNORDERED: Final = ("Connect", "Close", "Bytes")
"""Which channel a new connection is, nobody knows yet; that it ended says nothing of what came before."""


class Waiting(NamedTuple):
    """An item that has come."""

    arrive: Callable[[Item], None]
    item: Item

    @property
    def ordered(self) -> bool:
        """Whether it has a place of its own in the recorded order."""
        return self.item.record not in UNORDERED


class Follow:
    """A recorded order.

    Args:
        channels: whose packet arrived, one after the other; read as it is needed.

    Attributes:
        kept: packets that arrived in their place.
    """

    def __init__(self, channels: Iterator[Channel]) -> None:
        self.kept = 0
        self._channels = channels
        self._next: Channel = None
        self._waiting: dict[Channel, deque[Waiting]] = {}
        self._limit = 0.0
        self._later: Callable[[float, Callable[[], None]], object] | None = None
        self._given_up = False
        self._arriving = False
        self._started = False

    def begin(self, limit: float, later: Callable[[float, Callable[[], None]], object]) -> None:
        """Start.

        Args:
            limit: seconds after which the next packet will not come any more.
            later: has a function called after some seconds.
        """
        self._limit, self._later = limit, later
        self._next = next(self._channels, None)

    def come(self, channel: Channel, arrive: Callable[[Item], None], item: Item) -> None:
        """`item` has come on `channel`: have it arrive when it is its turn."""
        self._waiting.setdefault(channel, deque()).append(Waiting(arrive, item))
        self._watch()
        self._pump()

    def _pump(self) -> None:
        if self._arriving:
            return
        self._arriving = True
        while (due := self._due()) is not None:
            if due.ordered and not self._over():
                self.kept += 1
                self._next = next(self._channels, None)
            due.arrive(due.item)
        self._arriving = False

    def _due(self) -> Waiting | None:
        for channel, line in self._waiting.items():
            if line and (self._over() or channel == self._next or not line[0].ordered):
                return line.popleft()
        return None

    def _over(self) -> bool:
        return self._given_up or self._next is None

    def _watch(self) -> None:
        """Look whether the order still moves, as long as anything waits for it."""
        if not self._started and self._later is not None:
            self._started = True
            self._later(self._limit, self._check(self.kept))

    def _check(self, kept: int) -> Callable[[], None]:
        def check() -> None:
            self._started = False
            if self.kept == kept and any(self._waiting.values()):
                self._given_up = True
                self._pump()
            elif not self._over():
                self._watch()

        return check

    def finish(self, threads: Threads) -> MigemuError | None:
        """Say what came of it; an error when the order was not kept to its end."""
        ok = not self._given_up
        threads.point(
            "order_rule_ended",
            rule="recorded-order",
            type="follow",
            stream="in",
            fired=self.kept,
            expired=int(self._given_up),
            required=True,
            ok=ok,
        )
        if ok:
            return None
        behind = f"behind packet {self.kept}: the next one, of channel {self._next}, did not come"
        return ScheduleError(f"the recorded order was given up {behind}")
