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

from collections import defaultdict
from typing import TYPE_CHECKING

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
        self._upto: list[int] = []  # each step and all that happens before it
        self._entries: list[Entry] = []
        self._of_thread: defaultdict[int, list[int]] = defaultdict(list)
        self._writes: defaultdict[int, list[int]] = defaultdict(list)
        self._reads: defaultdict[int, list[int]] = defaultdict(list)
        self._takes: defaultdict[int, list[int]] = defaultdict(list)

    def shrink(self, length: int) -> None:
        """Forget the steps from `length` on."""
        for tid, foot, seen, took, _, _ in self._entries[length:]:
            self._of_thread[tid].pop()
            for bit in bits(foot):
                self._writes[bit].pop()
            for bit in bits(seen):
                self._reads[bit].pop()
            if foot & abs(took):
                self._takes[abs(took)].pop()
        del self._entries[length:]
        del self._who[length:]
        del self._upto[length:]

    def add(self, entry: Entry) -> list[Race]:
        """Append a step; the races it is the later part of."""
        tid, foot, seen, took, enabler, fence = entry
        known = self.known(tid, enabler)
        clashes = self._clashes(known, foot, seen)
        step = len(self._who)
        races: list[Race] = []
        before = known
        if clashes:
            before = self._order(races, known, clashes, took, step, tid)
        self._who.append(tid)
        self._upto.append(before | (1 << fence) - 1 | 1 << step)
        self._entries.append(entry)
        self._of_thread[tid].append(step)
        self._note(step, foot, seen, took)
        return races

    def wish(self, tid: int, bit: int, enabler: int) -> list[Race]:
        """The races of a step that never came: `tid` waits for the lock `bit` at the end of the run."""
        known = self.known(tid, enabler)
        races: list[Race] = []
        self._order(races, known, self._clashes(known, bit, 0), bit, len(self._who), tid)
        return races

    def ahead(self, known: int, foot: int, seen: int, took: int) -> list[tuple[int, int]]:
        """The races of a step that may follow some time, and threads that can begin the other order.

        What else comes before it then is in `known`. Where nothing between the earlier step and the end of
        the history can begin the other order, there are no threads: what follows begins it.
        """
        races: list[Race] = []
        step = len(self._who)
        self._order(races, known, self._clashes(known, foot, seen), took, step, 0)
        return [(race, self._initials(race, step, 0, -1)) for race, _, _ in races]

    def reaching(self, threads: int, changed: int, looked: int, enablers: dict[int, int]) -> int:
        """All steps before further ones of these threads (bits), and before such changes and looks."""
        known = 0
        for tid, enabler in enablers.items():
            if threads >> tid & 1:
                known |= self.known(tid, enabler)
        for bit in bits(changed | looked):
            writes = self._writes[bit]
            last = writes[-1] if writes else -1
            if last >= 0:
                known |= self._upto[last]
            for step in reversed(self._reads[bit]) if changed & bit else ():
                if step < last:
                    break
                known |= self._upto[step]
        return known

    def entry(self, step: int) -> Entry:
        """A step, as it was logged."""
        return self._entries[step]

    def known(self, tid: int, enabler: int) -> int:
        """The steps that had to come before `tid` could stand where it stood."""
        own = self._of_thread[tid]
        known = self._upto[own[-1]] if own else 0
        if enabler >= 0:
            return known | self._upto[enabler]
        return known if enabler == -1 else known | (1 << -1 - enabler) - 1

    def _note(self, step: int, foot: int, seen: int, took: int) -> None:
        """Remember which objects `step` changed, looked at and took."""
        while foot:
            bit = foot & -foot
            foot ^= bit
            self._writes[bit].append(step)
            if bit in (took, -took):
                self._takes[bit].append(step)
        while seen:
            bit = seen & -seen
            seen ^= bit
            self._reads[bit].append(step)

    def _clashes(self, known: int, foot: int, seen: int) -> list[int]:
        """The last steps that clash with such a footprint and are not known to come first anyway."""
        clashes = []
        either = foot | seen
        while either:
            bit = either & -either
            either ^= bit
            writes = self._writes[bit]
            last = writes[-1] if writes else -1
            if last >= 0 and not known >> last & 1:
                clashes.append(last)
            if foot & bit:
                for step in reversed(self._reads[bit]):
                    if step < last:
                        break
                    if not known >> step & 1:
                        clashes.append(step)
        return clashes

    def _order(
        self, races: list[Race], known: int, clashes: list[int], took: int, step: int, tid: int
    ) -> int:
        """Find out which clashes are races; all that comes before the step."""
        held, taken = 0, -1
        if took > 0 and self._takes[took]:
            release = self._writes[took][-1]
            if not known >> release & 1:
                held, taken = self._upto[release], self._takes[took][-1]
        free = known
        found = []
        for clash in sorted(clashes, reverse=True):
            if not (free | held) >> clash & 1:
                found.append(clash)
                free |= self._upto[clash]
        before = free | held
        races += [(race, self._initials(race, step, tid, before), tid) for race in found]
        if held and not free >> taken & 1:
            races.append((taken, self._initials(taken, step, tid, free), tid))
        return before

    def _initials(self, race: int, step: int, tid: int, before: int) -> int:
        """Threads that can run first where `race` ran, on the way to having `step` without it.

        With `before` -1, `tid` is not considered.
        """
        initials = between = 0
        for other in range(race + 1, step):
            upto = self._upto[other]
            if upto >> race & 1:
                continue
            if not upto & between:
                initials |= 1 << self._who[other]
            between |= 1 << other
        if before >= 0 and not before & between:
            initials |= 1 << tid
        return initials


def bits(mask: int) -> Iterator[int]:
    """The bits set in `mask`, lowest first."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit
