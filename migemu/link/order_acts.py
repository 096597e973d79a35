"""What a lane does with a rule's verdict: one function for each kind, and the table of them.

Each returns whether the item goes on to the next rule. A rule that takes the head of a section of the main
channel takes its body and footer along: half a section is nothing that anybody sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.link.order_verdict import Become, Drop, End, Move, Refuse, Repeat, Slices, Stall, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.link.order_item import Item
    from migemu.link.order_lane import Lane


class Section:
    """The items of one section, head first, that are dealt with together.

    Args:
        items: the head, or nothing.
        gone: what is done with the rest, when it is only dropped.
        copies: whether copies are kept and the originals go their own way.
    """

    def __init__(
        self, items: list[Item], *, gone: Callable[[Item], None] | None = None, copies: bool = False
    ) -> None:
        self._items = items
        self._copies = copies
        self._gone = gone
        self._whole = False
        self._call: Callable[[list[Item]], None] | None = None

    def take(self, item: Item) -> bool:
        """A record of the body; False: it also goes its own way."""
        if self._gone is not None:
            self._gone(item)
        elif self._copies:
            self._items.append(item.copy())
            return False
        else:
            item.own()
            self._items.append(item)
        return True

    def complete(self) -> None:
        """The footer is in."""
        self._whole = True
        if self._call is not None:
            self._call(self._items)

    def when_complete(self, call: Callable[[list[Item]], None]) -> None:
        """Have `call` called with everything, once all of it is here."""
        self._call = call
        if self._whole:
            call(self._items)


def wait(lane: Lane, item: Item, verdict: Wait, rule: Any) -> bool:
    """Stay where it is, or step aside, until the time has come."""
    if verdict.trigger is not None and verdict.trigger.met:
        return True
    if item.aside or (verdict.aside and lane.aside_bytes + item.size <= lane.side.room):
        _step_aside(lane, item, verdict, rule)
        return False
    lane.blocked.append(item)
    lane.bytes += item.size

    def go() -> None:
        if item in lane.blocked:
            lane.blocked.remove(item)
            lane.bytes -= item.size
            lane.step_back(item)
            lane.pump()

    lane.side.wait(verdict, rule, go)
    return False


def _step_aside(lane: Lane, item: Item, verdict: Wait, rule: Any) -> None:
    item.own()
    taken = Section([item])
    if item.opens and not item.aside:
        lane.section = taken
    else:
        taken.complete()
    size = item.size  # of a section's head; its body is bounded by its own limits
    lane.away += 1
    lane.aside_bytes += size

    def back(items: list[Item]) -> None:
        lane.away -= 1
        lane.aside_bytes -= size
        for one in items:
            one.aside = True
        lane.step_in(items)

    lane.side.wait(verdict, rule, lambda: taken.when_complete(back))


def drop(lane: Lane, item: Item, _verdict: Drop, _rule: Any) -> bool:
    """Never deliver."""
    if item.opens and not (item.aside or item.copied):
        lane.section = Section([], gone=lane.gone)
    lane.gone(item)
    return False


def repeat(lane: Lane, item: Item, verdict: Repeat, _rule: Any) -> bool:
    """Deliver, and again."""
    taken = Section([item.copy()], copies=True)
    if item.opens and not (item.aside or item.copied):
        lane.section = taken
    else:
        taken.complete()

    def again(items: list[Item]) -> None:
        lane.step_in([one.copy() for _ in range(verdict.copies) for one in items])

    taken.when_complete(again)
    return True


def become(_lane: Lane, item: Item, verdict: Become, _rule: Any) -> bool:
    """Other bytes."""
    item.parts = verdict.parts
    return True


def cut(_lane: Lane, item: Item, verdict: Slices, _rule: Any) -> bool:
    """In pieces, when its turn comes."""
    item.slices = verdict
    return True


def end(lane: Lane, item: Item, verdict: End, rule: Any) -> bool:
    """The connection ends, before the item or behind it."""
    if verdict.before:
        lane.end(verdict.how, rule.name)
        lane.gone(item)
        return False
    if verdict.most is not None:
        item.parts = (b"".join(item.parts)[: verdict.most],)
    item.ending = verdict.how, rule.name
    return True


def refuse(lane: Lane, item: Item, _verdict: Refuse, rule: Any) -> bool:
    """Turn the connection away."""
    if item.deny is not None:
        item.deny(rule.name)
    lane.gone(item)
    lane.close()
    return False


def stall(lane: Lane, item: Item, verdict: Stall, rule: Any) -> bool:
    """Nothing more, from this item on."""
    lane.stalled = True
    lane.step_back(item)
    if verdict.seconds is not None:
        lane.side.later(verdict.seconds, lambda: lane.end("whole", rule.name))
    return False


def move(lane: Lane, item: Item, verdict: Move, _rule: Any) -> bool:
    """To another channel; where there is none, on its own."""
    other = lane.side.lane(lane.stream, verdict.channel)
    if other is None:
        return True
    item.own()
    item.channel = verdict.channel
    other.step_in([item])
    return False


ACTS: Final[dict[type, Callable[[Any, Any, Any, Any], bool]]] = {
    Wait: wait,
    Drop: drop,
    Repeat: repeat,
    Become: become,
    Slices: cut,
    End: end,
    Refuse: refuse,
    Stall: stall,
    Move: move,
}
