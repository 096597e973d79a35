"""One stream of one connection under rules: items come in, what the rules leave of them goes out.

A lane is a line. Its head asks the rules, one after the other from where it was left; what a verdict does
is in :mod:`migemu.link.order_acts`. A packet that waits holds up the line, as a slow network would; one that
waits *aside* does not, and steps in again as soon as it may. Nothing leaves while the outlet has no room.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from migemu.link.order_acts import ACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.link.order_acts import Section
    from migemu.link.order_item import Channel, Item, Part
    from migemu.link.order_verdict import EndHow, Wait


class Outlet(Protocol):
    """Where a lane's items go: a socket, or the reader of a connection."""

    def ready(self) -> bool:
        """Whether the next item may go now; whoever says no calls `Lane.pump` later."""
        ...

    def send(self, parts: Sequence[Part]) -> bool:
        """Take the bytes; False: not all at once, `Lane.sent` follows."""
        ...

    def end(self, how: EndHow, rule: str) -> None:
        """A rule of that name ends the connection."""
        ...


class Side(Protocol):
    """What a lane needs of :class:`migemu.link.order.Orders`."""

    room: int
    """Bytes that a lane may keep aside; what does not fit waits in the line."""

    def rules_of(self, stream: str) -> Sequence[Any]:
        """The armed rules of a stream."""
        ...

    def now(self) -> float:
        """The clock, in seconds."""
        ...

    def fired(self, rule: Any, item: Item) -> None:
        """A rule acts on an item."""
        ...

    def passed(self, item: Item) -> None:
        """An item has been delivered, or is gone for good."""
        ...

    def wait(self, verdict: Wait, rule: Any, go: Callable[[], None]) -> None:
        """Have `go` called once, when the wait is over."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> object:
        """Have `call` called after a time."""
        ...

    def lane(self, stream: str, channel: Channel) -> Lane | None:
        """The open lane of another channel."""
        ...

    def broken(self, error: Exception) -> None:
        """A rule cannot be applied."""
        ...


class Lane:
    """The items of one stream of one connection.

    Attributes:
        channel: whose they are, as soon as that is known.
        closed: nothing goes out any more; whatever comes is dropped.
        stalled: nothing goes out, and what comes is kept.
        bytes: of the items that wait in the line.
        on_pumped: called whenever something may have moved.
        away: items, or sections, that wait aside.
        aside_bytes: of those.
        section: what was taken along with the head of the section that is coming in.
        blocked: items that wait at the line's head for what a rule told them; more than one where another
            stepped in ahead of the first and was told to wait as well.
    """

    def __init__(self, side: Side, stream: str, channel: Channel, outlet: Outlet) -> None:
        self.channel = channel
        self.side = side
        self.stream = stream
        self.outlet = outlet
        self.closed = self.stalled = False
        self.bytes = self.away = self.aside_bytes = 0
        self.on_pumped: Callable[[], None] | None = None
        self.section: Section | None = None
        self.blocked: list[Item] = []
        self._rules = side.rules_of(stream)
        self._line: deque[Item] = deque()
        self._urgent: deque[Item] = deque()
        self._sending: Item | None = None
        self._pieces: deque[tuple[Part, ...]] = deque()
        self._pumping = False
        self._within = False  # the head of a section has gone, its footer not yet
        self._count = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits here, in the line or aside."""
        return not (self._line or self._urgent or self.blocked or self._sending or self.away)

    def offer(self, item: Item) -> None:
        """The next item of this stream."""
        item.number = self._count
        item.came = self.side.now()
        self._count += 1
        self._line.append(item)
        self.bytes += item.size
        self.pump()

    def step_in(self, items: Iterable[Item]) -> None:
        """Items that were aside, or come from another lane, or were made by a rule: they go next."""
        for item in items:
            self._urgent.append(item)
            self.bytes += item.size
        self.pump()

    def step_back(self, item: Item) -> None:
        """The item that was at the head of the line is there again; ahead of those that still wait there."""
        (self._urgent if self.blocked else self._line).appendleft(item)
        self.bytes += item.size

    def pump(self) -> None:
        """Let go what may go."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while (item := self._next()) is not None:
                self.bytes -= item.size
                self._advance(item)
        finally:
            self._pumping = False
        if self.on_pumped is not None:
            self.on_pumped()

    def _next(self) -> Item | None:
        if self.closed:
            return self._urgent.popleft() if self._urgent else self._line.popleft() if self._line else None
        if self._sending is not None or self.stalled or not self.outlet.ready():
            return None
        if self._urgent and (self._urgent[0].inside or not self._within):
            return self._urgent.popleft()
        return self._line.popleft() if self._line and not self.blocked else None

    def _advance(self, item: Item) -> None:
        """Ask the rules that were not asked yet, then send."""
        if self.closed:
            self.gone(item)
            return
        if self.section is not None and not (item.aside or item.copied) and self._follows(item):
            return
        while item.at < len(self._rules):
            rule = self._rules[item.at]
            item.at += 1
            verdict = self._judged(rule, item)
            if verdict is not None and not ACTS[type(verdict)](self, item, verdict, rule):
                return
        self._send(item)

    def _judged(self, rule: Any, item: Item) -> Any:
        try:
            verdict = rule.consider(item)
        except Exception as error:  # noqa: BLE001  a rule's failure ends the side, not its event loop
            self.side.broken(error)
            return None
        if verdict is not None:
            self.side.fired(rule, item)
        return verdict

    def _follows(self, item: Item) -> bool:
        """Whether `item` is dealt with together with the head of its section."""
        section = self.section
        if section is None:
            return False
        taken = item.inside and section.take(item)
        if item.closes or not item.inside:  # a stream without footers: the next record ends the section
            self.section = None
            section.complete()
        return taken

    def _send(self, item: Item) -> None:
        self._sending = item
        self._within = item.opens or (item.inside and not item.closes)
        if item.begin is not None:
            if item.begin(item):
                self.sent()
            return
        if item.slices is not None:
            self._pieces.extend(item.slices.cut_up(item.parts))
            self._send_piece()
        elif self.outlet.send(item.parts):
            self.sent()

    def _send_piece(self) -> None:
        if self._pieces and self.outlet.send(self._pieces.popleft()):
            self.sent()

    def sent(self) -> None:
        """The outlet has taken what it was given."""
        item = self._sending
        if item is None:
            return
        if self._pieces and item.slices is not None:
            self.side.later(item.slices.pause, self._send_piece)
            return
        self._sending = None
        self.gone(item)
        if item.ending is not None:
            self.end(*item.ending)
        self.pump()

    def gone(self, item: Item) -> None:
        """It has been delivered, or never will be."""
        item.settled()
        self.side.passed(item)
        item.release()

    def end(self, how: EndHow, rule: str) -> None:
        """A rule ends the connection."""
        if not self.closed:
            self.outlet.end(how, rule)
            self.close()

    def close(self) -> None:
        """The connection is over."""
        self.closed = True
        self._pieces.clear()
        given_up = [*self.blocked, *([self._sending] if self._sending is not None else ())]
        self.blocked, self._sending = [], None
        for item in given_up:
            self.gone(item)
        self.pump()
