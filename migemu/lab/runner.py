"""Running one point of a study: an interface, so that a study knows nothing of processes or clocks.

A runner migrates a scenario once and hands back what it saw. The one over real sockets lives with the
command line, which knows how to start the two processes; one that runs on a virtual clock, or on other
machines, is one more callable. An executor decides how many of them run at a time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from migemu.lab.study_figures import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from migemu.lab.study_figures import Figures
    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.scenario import Scenario

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """One migration, run."""

    result: Result
    """As measured: a dilated run's figures are not scaled back."""
    events: Sequence[Event]
    """Of both sides, joined."""


class Runner(Protocol):
    """Migrates a scenario once."""

    def __call__(self, scenario: Scenario) -> Measured:
        """Run `scenario`; a migration that fails is a result like any other.

        Raises:
            CancelledMigrationError: a person ended it, so nothing was measured.
        """
        ...


@dataclass(frozen=True)
class Finished:
    """A scenario that an executor has run."""

    measured: Measured
    seconds: float
    """Of real time, the processes' start included."""
    figures: Figures
    """What is made of it, where it was run: events are many, and need not travel."""


class Job(NamedTuple):
    """One migration to be done, and by what."""

    runner: Runner
    scenario: Scenario


class Executor(Protocol):
    """Runs jobs, in order or side by side."""

    def each(self, work: Iterable[T], job_of: Callable[[T], Job]) -> Iterator[tuple[T, Finished]]:
        """Each piece of work with what came of it, as it is finished."""
        ...


class OneByOne:
    """One after the other: what shares a machine's cores must not run at the same time."""

    def each(self, work: Iterable[T], job_of: Callable[[T], Job]) -> Iterator[tuple[T, Finished]]:
        """Take the next piece of work only when the one before is finished and its taker is done with it."""
        for item in work:
            yield item, timed(*job_of(item))


def timed(runner: Runner, scenario: Scenario) -> Finished:
    """One run, and how long it took."""
    started = time.monotonic()
    measured = runner(scenario)
    seconds = time.monotonic() - started
    return Finished(measured, seconds, figures(measured.result, measured.events))
