"""Shrinking a failing schedule: fewer deviations from the native order, then earlier ones.

Three passes, repeated while they help: leave out directives (see :mod:`migemu.lab.explore.replaying`), set
single numbers to 0 or lower ones, and try every schedule with fewer deviations than are left, as long as
there are not too many of those. A smaller schedule counts only if it breaks the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.lab.explore.narrate import trimmed
from migemu.lab.explore.plan import Plan
from migemu.lab.explore.replaying import Director, Follower, Scribe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migemu.lab.explore.outcome import Failure
    from migemu.lab.explore.replaying import Key
    from migemu.lab.explore.runner import Runner

Schedule = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left of a failing schedule."""

    decisions: Schedule
    original: Schedule
    tries: int

    proven: int
    """No schedule with fewer than so many deviations breaks the same: all of them were tried."""

    @property
    def deviations(self) -> int:
        """Decisions that are not 0."""
        return deviations(self.decisions)

    @property
    def minimal(self) -> bool:
        """Whether it is known that no schedule with fewer deviations breaks the same."""
        return self.proven >= self.deviations


def deviations(schedule: Sequence[int]) -> int:
    """How many decisions are not 0."""
    return sum(1 for choice in schedule if choice)


def _size(schedule: Schedule) -> tuple[int, int, int]:
    """What is made small: deviations, then length, then the numbers."""
    return deviations(schedule), len(schedule), sum(schedule)


class _OutOfTries(Exception):  # noqa: N818  control flow, never seen outside
    """The budget of tries is spent."""


class Shrinker:
    """Shrinks one failure."""

    def __init__(self, runner: Runner, failure: Failure, tries: int) -> None:
        self._runner = runner
        self._signature = failure.signature
        self._tries = tries
        self.tried = 0
        self.proven = 0
        self.best: Schedule = trimmed(failure.decisions)

    def run(self) -> None:
        """Shrink until nothing helps or the tries are spent."""
        try:
            while self._drop_directives() or self._lower_numbers():
                pass
            self._try_all_smaller()
        except _OutOfTries:
            return

    def _drop_directives(self) -> bool:
        """Leave out directives, in halves, quarters, … and one by one."""
        directives = self._directives()
        before = _size(self.best)
        chunk = max(1, len(directives) // 2)
        while directives:
            kept = self._drop_chunks(directives, chunk)
            if kept == directives and chunk == 1:
                break
            directives, chunk = kept, max(1, min(chunk, len(kept)) // 2)
        return _size(self.best) < before

    def _drop_chunks(self, directives: dict[Key, int], chunk: int) -> dict[Key, int]:
        """One sweep over the directives, dropping `chunk` at a time, the last first."""
        keys = list(directives)
        for end in range(len(keys), 0, -chunk):
            dropped = set(keys[max(0, end - chunk) : end])
            candidate = {key: meant for key, meant in directives.items() if key not in dropped}
            director = Director(self._runner.engine, candidate)
            if len(candidate) < len(directives) and self._fails(director):
                directives = candidate
                self._keep(director.taken)
        return directives

    def _directives(self) -> dict[Key, int]:
        """What the best schedule says, as directives."""
        scribe = Scribe(self._runner.engine, self.best)
        self._fails(scribe)
        return scribe.followed

    def _lower_numbers(self) -> bool:
        """Set single decisions to 0, or to a lower number, or leave a place out."""
        before = _size(self.best)
        for place in reversed(range(len(self.best))):
            for candidate in self._neighbours(place):
                follower = Follower(candidate)
                if _size(trimmed(candidate)) < _size(self.best) and self._fails(follower):
                    self._keep(follower.taken)
                    break
        return _size(self.best) < before

    def _neighbours(self, place: int) -> Iterator[list[int]]:
        """Schedules a little smaller than the best one."""
        if place >= len(self.best):
            return
        for choice in range(self.best[place]):
            yield [*self.best[:place], choice, *self.best[place + 1 :]]
        yield [*self.best[:place], *self.best[place + 1 :]]

    def _try_all_smaller(self) -> None:
        """Every schedule with 0, 1, 2 … deviations, up to one less than the best has."""
        while self.proven < deviations(self.best):
            for follower in self._with_deviations((), self.proven):
                self._keep(follower.taken)
                break
            else:
                self.proven += 1
                continue
            break

    def _with_deviations(self, prefix: Schedule, more: int) -> Iterator[Follower]:
        """Failing runs that begin with `prefix` and deviate `more` times after it."""
        follower = Follower(prefix)
        fails = self._fails(follower)
        if not more:
            if fails:
                yield follower
            return
        for place in range(len(prefix), len(follower.sizes)):
            zeros = (0,) * (place - len(prefix))
            for choice in range(1, follower.sizes[place]):
                yield from self._with_deviations((*prefix, *zeros, choice), more - 1)

    def _keep(self, taken: Sequence[int]) -> None:
        schedule = trimmed(taken)
        if _size(schedule) < _size(self.best):
            self.best = schedule

    def _fails(self, chooser: Director | Follower) -> bool:
        """Whether a run with these decisions breaks the same thing."""
        if self.tried >= self._tries:
            raise _OutOfTries
        self.tried += 1
        failure = self._runner.run(Plan(chooser=chooser)).failure
        return failure is not None and failure.signature == self._signature


def shrink(runner: Runner, failure: Failure, tries: int = 5000) -> Shrunk:
    """Find a smaller schedule that breaks the same thing.

    Args:
        runner: of the same system and rules.
        failure: with its schedule.
        tries: schedules to run at most.
    """
    shrinker = Shrinker(runner, failure, tries)
    shrinker.run()
    return Shrunk(shrinker.best, trimmed(failure.decisions), shrinker.tried, shrinker.proven)
