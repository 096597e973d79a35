"""Happens-before and races in one run: which two steps could have come in the other order.

This is the analysis behind dynamic partial-order reduction with source sets (Abdulla, Aronsson, Jonsson and
Sagonas, "Optimal Dynamic Partial Order Reduction", POPL 2014, and "Source Sets", JACM 2017). Steps that
clash (the same object, at least one of them changing it) are ordered; a clash with nothing in between is a
race, and the other order has to be tried: from the state before the earlier step, some thread is run first
that can begin the other order.

Three things order steps besides clashes: a thread's own program, being enabled (spawned, notified, joined),
and the clock, which moves only when nobody can run. Locks need care, as in the paper's chapter on blocking:
a step that waits for a lock cannot come before the release, so the race is with the step that *took* the
lock, and only if nothing else puts that one first.

Sets of steps are integers, one bit a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Entry = tuple[int, int, int, int, int, int]
"""As the engine logs a step: thread, changed, looked at, lock taken, enabler, fence."""

Race = tuple[int, int, int]
"""The earlier step; threads that can begin the other order, as bits; the thread of the later step."""


class History:
    """The steps of the last run with their happens-before; grows at the end, shrinks to a prefix."""

    def __init__(self) -> None:
        self._who: list[int] = []
        self._before: list[int] = []
        self._entries: list[Entry] = []
        self._of_thread: dict[int, list[int]] = {}
        self._writes: dict[int, list[int]] = {}
        self._reads: dict[int, list[int]] = {}
        self._takes: dict[int, list[int]] = {}

    def shrink(self, length: int) -> None:
        """Forget the steps from `length` on."""
        while len(self._entries) > length:
            tid, foot, seen, took, _, _ = self._entries.pop()
            self._of_thread[tid].pop()
            for bit in bits(foot):
                self._writes[bit].pop()
            for bit in bits(seen):
                self._reads[bit].pop()
            if foot & abs(took):
                self._takes[abs(took)].pop()
        del self._who[length:]
        del self._before[length:]

    def add(self, entry: Entry) -> Iterator[Race]:
        """Append a step; the races it is the later part of."""
        tid, foot, seen, took, enabler, fence = entry
        known = self._known(tid, enabler)
        order = self._order(known, foot, seen, took)
        step = len(self._who)
        self._append(entry, order.before | (1 << fence) - 1)
        return self._reversals(order, step, tid)

    def wish(self, tid: int, bit: int, enabler: int) -> Iterator[Race]:
        """The races of a step that never came: `tid` waits for the lock `bit` at the end of the run."""
        order = self._order(self._known(tid, enabler), bit, 0, bit)
        return self._reversals(order, len(self._who), tid)

    def _known(self, tid: int, enabler: int) -> int:
        """The steps that had to come before `tid` could stand where it stood."""
        own = self._of_thread.get(tid)
        known = self._upto(own[-1]) if own else 0
        if enabler >= 0:
            return known | self._upto(enabler)
        return known | (1 << -1 - enabler) - 1

    def _upto(self, step: int) -> int:
        """`step` and all that happens before it."""
        return self._before[step] | 1 << step

    def _append(self, entry: Entry, before: int) -> None:
        tid, foot, seen, took, _, _ = entry
        step = len(self._who)
        self._who.append(tid)
        self._before.append(before)
        self._entries.append(entry)
        self._of_thread.setdefault(tid, []).append(step)
        for bit in bits(foot):
            self._writes.setdefault(bit, []).append(step)
        for bit in bits(seen):
            self._reads.setdefault(bit, []).append(step)
        if foot & abs(took):
            self._takes.setdefault(abs(took), []).append(step)

    def _clashes(self, known: int, foot: int, seen: int) -> set[int]:
        """The last steps that clash with such a footprint and are not known to come first anyway."""
        clashes = set()
        for bit in bits(foot | seen):
            writes = self._writes.get(bit)
            last = writes[-1] if writes else -1
            clashes.add(last)
            if foot & bit:
                clashes.update(step for step in self._reads.get(bit, ()) if step > last)
        clashes.discard(-1)
        return {step for step in clashes if not known >> step & 1}

    def _order(self, known: int, foot: int, seen: int, took: int) -> Order:
        """Which clashes are races, and all that comes before a step with this footprint."""
        clashes = self._clashes(known, foot, seen)
        held = taken = 0
        if took > 0 and (takes := self._takes.get(took)):
            release = self._writes[took][-1]
            if release in clashes:
                held, taken = self._upto(release), takes[-1]
        races = []
        free = known
        for step in sorted(clashes, reverse=True):
            if not (free | held) >> step & 1:
                races.append(step)
                free |= self._upto(step)
        if held and not free >> taken & 1:
            return Order(races, free | held, taken, free)
        return Order(races, free | held, -1, 0)

    def _reversals(self, order: Order, step: int, tid: int) -> Iterator[Race]:
        for race in order.races:
            yield race, self._initials(race, step, tid, order.before), tid
        if order.taken >= 0:
            yield order.taken, self._initials(order.taken, step, tid, order.free), tid

    def _initials(self, race: int, step: int, tid: int, before: int) -> int:
        """Threads that can run first where `race` ran, on the way to having `step` without it."""
        initials = between = 0
        for other in range(race + 1, step):
            prior = self._before[other]
            if prior >> race & 1:
                continue
            if not prior & between:
                initials |= 1 << self._who[other]
            between |= 1 << other
        if not before & between:
            initials |= 1 << tid
        return initials


class Order(NamedTuple):
    """What is ordered before a step."""

    races: list[int]
    """Steps that could also come after it."""

    before: int
    """All steps that happen before it."""

    taken: int
    """The step that took the lock it waited for, where that could also come after it; else -1."""

    free: int
    """What happens before it for other reasons than that lock."""


def bits(mask: int) -> Iterator[int]:
    """The bits set in `mask`, lowest first."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit
