"""What may still follow a state, kept so that it can be held against any schedule that comes there.

A search that gives a schedule up at a state it knows has to find the races between what is behind that state
and what led to it this time. It need not run it again for that: a step that may follow races with an earlier
one when they clash and nothing orders them, and what orders them is either in the schedule so far or among
the steps that come in between. So each step that may follow is kept with the threads and objects of all that
has to come before it behind the state. Of two ways to the same step the one with less before it is kept: its
races are a superset.

A step that takes a lock is kept twice. As an ordinary step it comes after the release; as a *wish* it does
not, because its race is with the step that took the lock, wherever the release is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from migemu.lab.explore.races import Entry, History

Event = tuple[int, int, int, int, bool]
"""A step that may follow: thread, changed, looked at, lock it begins with, whether it is a wish."""

Past = tuple[int, int, int, int]
"""What comes before it: threads as bits, changed, looked at; and a thread whose next step is the first."""

FREE, ORDERED, MET = range(3)
"""A step and an earlier one: they commute; the earlier one comes first; it took the lock wished for."""


class Ahead:
    """The steps that may follow a state.

    Attributes:
        events: each with the sets of steps that may have to come before it, none of them within another.
    """

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: dict[Event, list[Past]] = {}

    def add(self, event: Event, past: Past) -> None:
        """`event` may follow, after `past`."""
        known = self.events.get(event)
        if known is None:
            self.events[event] = [past]
            return
        threads, foot, seen, _ = past
        for one in known:
            if one == past or not (one[0] & ~threads or one[1] & ~foot or one[2] & ~seen):
                return
        known[:] = [one for one in known if threads & ~one[0] or foot & ~one[1] or seen & ~one[2]]
        known.append(past)

    def join(self, other: Ahead) -> None:
        """What may follow in `other` may follow here too."""
        for event, pasts in other.events.items():
            for past in pasts:
                self.add(event, past)

    def wish(self, blocked: Iterable[tuple[int, int, int]]) -> None:
        """These threads wait for a lock at the end of a run: number, the lock's bit, what enabled them."""
        for tid, bit, _ in blocked:
            self.add((tid, bit, 0, bit, True), (0, 0, 0, tid))

    def seen_before(self, step: int, entry: Entry, enablers: dict[int, int]) -> Ahead:
        """The same seen from before one more step, which may follow now as well.

        Args:
            step: its number.
            entry: its footprint.
            enablers: what made the threads able to take the first of their steps behind it; the step's own
                is put in.
        """
        tid, foot, seen, took, enabler, _ = entry
        hot = 1 << tid
        for thread, by in enablers.items():
            if by == step:
                hot |= 1 << thread
        found = Ahead()
        for event, pasts in self.events.items():
            clash = _clash(event, entry, hot)
            found._move(event, pasts, clash, entry, hot)
        found.add((tid, foot, seen, took, False), (0, 0, 0, tid))
        if took > 0:
            found.add((tid, foot & took, seen & took, took, True), (0, 0, 0, tid))
        enablers[tid] = enabler
        return found

    def _move(self, event: Event, pasts: list[Past], clash: int, entry: Entry, hot: int) -> None:
        """Take over an event of what follows `entry`."""
        tid, foot, seen, _, _, _ = entry
        for past in pasts:
            threads, changed, looked, _ = past
            if clash == ORDERED or threads & hot or foot & (changed | looked) or seen & changed:
                self.add(event, (threads | 1 << tid, changed | foot, looked | seen, tid))
            elif clash == FREE:
                self.add(event, past)

    def races(
        self, history: History, enablers: dict[int, int], fence: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """The races of what may follow with the steps of `history`, which led to the state.

        Args:
            history: of the run so far.
            enablers: of the threads there are, what made them able to run.
            fence: how many steps had ended when the clock moved last.

        Yields:
            The earlier step; threads that can begin the other order, as bits, or 0 where nothing of the
            history can; the thread that can then; and the thread of the later step.
        """
        before = (1 << fence) - 1
        for (tid, foot, seen, took, _), pasts in self.events.items():
            for threads, changed, looked, first in pasts:
                known = before | history.known(tid, enablers.get(tid, -1))
                known |= history.reaching(threads, changed, looked, enablers)
                for race, initials in history.ahead(known, foot, seen, took):
                    yield race, initials, first, tid


def _clash(event: Event, entry: Entry, hot: int) -> int:
    """How a step stands to an earlier one, whatever else comes before it."""
    thread, changed, looked, lock, wish = event
    _, foot, seen, took, _, _ = entry
    if hot >> thread & 1:
        return ORDERED
    if wish:
        return MET if foot & lock and lock in (took, -took) else FREE
    return ORDERED if foot & (changed | looked) or seen & changed else FREE
