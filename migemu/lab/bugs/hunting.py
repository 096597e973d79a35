"""From a cold start to a short schedule: find a bug, shrink it, see what the correct code does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.errors import ScheduleError
from migemu.lab.explore import Budget, Portfolio, Runner, explore, report, shrink
from migemu.lab.explore.plan import Plan
from migemu.lab.explore.replaying import Director, Scribe
from migemu.lab.known_states import over_states

if TYPE_CHECKING:
    from migemu.lab.bugs.bug import Bug, Subject
    from migemu.lab.explore import Outcome, Report, Shrunk
    from migemu.lab.explore.outcome import Failure

STRIDE = 100_000
"""Between two such seeds: further than any strategy counts from the one it is given."""
TRIES = 3000
"""Schedules that shrinking may run."""
SHORT = 3
"""Deviations that a person takes in at a glance."""
OTHER_STARTS = 6
"""Other seeds from which a schedule is looked for that shrinks to fewer deviations, where the first one
does not get that short: shrinking goes downhill, and where it ends depends on where it began."""


@dataclass(frozen=True)
class Found:
    """A bug, found."""

    bug: Bug
    outcome: Outcome
    shrunk: Shrunk
    report: Report
    runner: Runner

    @property
    def failure(self) -> Failure:
        """What broke."""
        assert self.outcome.failure is not None  # noqa: S101  else it would not have been found
        return self.outcome.failure


@dataclass(frozen=True)
class Vindication:
    """The correct variant, tried."""

    same_schedule: Failure | None
    """What it does under the schedule that breaks the broken one; None: it passes."""
    search: Outcome
    """Over its own schedules."""

    @property
    def passes(self) -> bool:
        """Whether nothing broke."""
        return self.same_schedule is None and self.search.failure is None


def what_broke(failure: Failure) -> str:
    """The invariant's name, or how it hung."""
    return failure.invariant or failure.kind


def find(bug: Bug, seed: int = 0, tries: int = TRIES) -> Found:
    """Explore the broken variant until it breaks, and shrink the schedule.

    Args:
        bug: what is looked for.
        seed: of the random strategies.
        tries: schedules that shrinking may run.

    Raises:
        ScheduleError: it was not found within its budget, or something else was.
    """
    runner = Runner(bug.broken, bug.hunt.rules)
    outcome, failure = _hunt(bug, seed)
    shrunk = shrink(runner, failure, tries)
    for start in range(1, OTHER_STARTS + 1):
        if shrunk.minimal or shrunk.deviations <= SHORT:
            break
        other = shrink(runner, _hunt(bug, seed + start * STRIDE)[1], tries // 3)
        shrunk = min(shrunk, other, key=lambda one: (one.deviations, len(one.decisions)))
    return Found(bug, outcome, shrunk, report(runner, shrunk, bug.broken.text()), runner)


def _hunt(bug: Bug, seed: int) -> tuple[Outcome, Failure]:
    hunt = bug.hunt
    strategy = Portfolio.usual(hunt.length, seed)
    outcome = explore(bug.broken, strategy, Budget(hunt.schedules, hunt.seconds), hunt.rules)
    failure = outcome.failure
    if failure is None:
        raise ScheduleError(f"{bug.name} was not found: {outcome.verdict}")
    if what_broke(failure) != bug.breaks:
        raise ScheduleError(f"{bug.name} should break {bug.breaks}, found was: {failure.error}")
    return outcome, failure


def vindicate(found: Found, budget: Budget | None = None) -> Vindication:
    """Try the correct variant: that very schedule, then all of its own as far as the budget goes.

    Args:
        found: the broken variant's schedule.
        budget: other than what the bug says.
    """
    hunt = found.bug.hunt
    budget = budget or Budget(hunt.all_of_correct, hunt.seconds, confirmed=1)
    search = explore(found.bug.correct, over_states(), budget, hunt.rules)
    return Vindication(under_same_schedule(found, found.bug.correct), search)


def under_same_schedule(found: Found, subject: Subject) -> Failure | None:
    """What `subject` makes of the schedule that was found; None where it passes.

    The two variants do not have the same decisions, so the schedule is followed by what it says about
    threads: at the n-th decision after a step of this thread, run that one.
    """
    engine = found.runner.engine
    scribe = Scribe(engine, found.shrunk.decisions)
    found.runner.run(Plan(chooser=scribe))
    other = Runner(subject, found.bug.hunt.rules)
    other.engine = engine
    return other.run(Plan(chooser=Director(engine, scribe.followed))).failure
