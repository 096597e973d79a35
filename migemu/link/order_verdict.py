"""What a rule may decide about a packet, and what it decides with.

A rule is a function from an item to a verdict; None lets the item go on to the next rule. What the verdicts
do is the business of :mod:`migemu.link.order_acts`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from random import Random
    from typing import Protocol

    from migemu.link.order_item import Item, Part
    from migemu.scenario import Order, Until

    class World(Protocol):
        """What a rule may ask of the side it is armed on."""

        limit: float
        """Seconds a wait lasts when the rule does not say."""

        def now(self) -> float:
            """The clock, in seconds."""
            ...

        def trigger(self, until: Until, stream: str) -> Trigger:
            """Something that is met once `until` has happened."""
            ...

        def random(self, order: Order, item: Item, what: str) -> Random:
            """Chance that follows from the seed, the rule, the packet and what it is for; from no clock."""
            ...


EndHow = Literal["whole", "half", "reset"]


class Trigger:
    """Something that happens once; whoever waits for it is called, in the order of asking."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.met = False
        self._calls: list[Callable[[], None]] = []

    def when(self, call: Callable[[], None]) -> None:
        """Have `call` called once it is met; at once if it is."""
        if self.met:
            call()
        else:
            self._calls.append(call)

    def meet(self) -> None:
        """It has happened."""
        self.met = True
        calls, self._calls = self._calls, []
        for call in calls:
            call()


@dataclass(frozen=True, slots=True)
class Wait:
    """Stay until `trigger` is met, or `seconds` have passed; without a trigger for just so long."""

    seconds: float
    trigger: Trigger | None = None
    aside: bool = False
    """Out of the line: what is behind it overtakes it."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Do not deliver."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Deliver `copies` more right behind it."""

    copies: int


@dataclass(frozen=True, slots=True)
class Become:
    """Deliver these bytes instead."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """Deliver the bytes in pieces, `pause` seconds between two."""

    size: int
    """Bytes of a piece."""
    pause: float
    cut: int | None = None
    """One cut here instead of pieces of a size."""

    def cut_up(self, parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
        """The pieces, none of them empty but where there is nothing to cut."""
        whole = memoryview(b"".join(parts))
        cuts = range(self.size, len(whole), self.size) if self.cut is None else [self.cut]
        edges = [0, *(cut for cut in cuts if 0 < cut < len(whole)), len(whole)]
        return [(whole[begin:end],) for begin, end in pairwise(edges)]


@dataclass(frozen=True, slots=True)
class End:
    """End the connection, before or behind the item, of which only `most` bytes go."""

    how: EndHow
    before: bool = False
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Turn the connection away."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more passes; after `seconds`, if any, the connection is closed."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Move:
    """Deliver on another multifd channel."""

    channel: int


Verdict = Wait | Drop | Repeat | Become | Slices | End | Refuse | Stall | Move
Judge = Callable[["Item"], Verdict | None]


@dataclass(frozen=True, slots=True)
class Made:
    """A rule made from its table.

    Attributes:
        judge: asked about each item that the rule selects.
        matches: which items those are, where the rule's own `select` does not say.
    """

    judge: Judge
    matches: Callable[[Item], bool] | None = None
