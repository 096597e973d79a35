"""Rounds of RAM, put together from connections that nothing orders.

A page belongs to the round between two SYNCs of its own channel, or between two barrier words of the main
channel; a round is whole when the main channel and every multifd channel are past its end. At a tap one of
them may be far ahead of another.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    Channel = int | str

MAIN: Final = "main"


@dataclass(slots=True)
class Round:
    """RAM between two barriers."""

    pages: int = 0
    """Those that are not zero."""
    zero: int = 0
    bytes: int = 0


class Rounds:
    """Counts; not for several threads at once.

    Attributes:
        told: rounds handed out; the first one is what comes before the setup's barrier: nothing.
    """

    def __init__(self) -> None:
        self._passed: dict[Channel, int] = {MAIN: 0}
        self._rounds: dict[int, Round] = defaultdict(Round)
        self.told = 0

    def join(self, channel: Channel) -> None:
        """There is such a channel."""
        self._passed.setdefault(channel, 0)

    def add(self, channel: Channel, pages: int, zero: int, size: int) -> None:
        """RAM went by."""
        now = self._rounds[max(self._passed.setdefault(channel, 0), self.told)]
        now.pages += pages
        now.zero += zero
        now.bytes += size

    def barrier(self, channel: Channel) -> None:
        """A SYNC, or on the main channel the barrier's word."""
        self._passed[channel] = self._passed.get(channel, 0) + 1

    def whole(self) -> Iterator[tuple[int, Round]]:
        """Rounds that have become whole, by their numbers."""
        while self.told < min(self._passed.values()):
            yield self._take()

    def rest(self) -> Iterator[tuple[int, Round]]:
        """At the end: what never became whole, or had no barrier."""
        last = max([*self._rounds, *self._passed.values()])
        while self.told <= last:
            yield self._take()

    def _take(self) -> tuple[int, Round]:
        number, self.told = self.told, self.told + 1
        return number, self._rounds.pop(number, Round())
