"""The loop of an exploration: plan, run, learn, until a failure, a bound, or the end of all schedules."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from migemu.lab.explore.narrate import require_repeatable, trimmed
from migemu.lab.explore.outcome import Outcome
from migemu.lab.explore.plan import PRUNED
from migemu.lab.explore.runner import GIVEN_UP, Runner
from migemu.threads.controlled_rules import Rules
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.lab.explore.plan import MakeSystem, Run, Strategy

GARBAGE_EVERY = 2000
"""Schedules between two collections: what a run leaves behind is small and mostly not cyclic."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long an exploration may go on; None means without this bound."""

    schedules: int | None = None
    seconds: float | None = None

    confirmed: int = 3
    """How many schedules are run twice first, to see that nothing but the decisions influences them."""

    stopped: Callable[[], bool] = lambda: False
    """Asked between two schedules: whether somebody wants no more of them."""

    def met(self, outcome: Outcome) -> str:
        """The bound that `outcome` has come to; empty while there is none."""
        if self.stopped():
            return f"bound met: interrupted ({outcome.schedules} schedules)"
        if self.schedules is not None and outcome.schedules >= self.schedules:
            return f"bound met: {self.schedules} schedules"
        if self.seconds is not None and outcome.seconds >= self.seconds:
            return f"bound met: {self.seconds:g} s ({outcome.schedules} schedules)"
        return ""


class Exploration:
    """One exploration under way.

    Args:
        make_system: makes the system anew for each schedule.
        strategy: which schedules.
        budget: how long.
        rules: what is decided.
        so_far: of the search that this one goes on with.
        progress: called now and then with the outcome so far.
        clock: real time in seconds, for the budget.
    """

    def __init__(
        self,
        make_system: MakeSystem,
        strategy: Strategy,
        budget: Budget,
        rules: Rules,
        so_far: Outcome | None = None,
        progress: Callable[[Outcome], None] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._runner = Runner(make_system, rules)
        self._strategy = strategy
        self._budget = budget
        self._keep_going = rules.keep_going
        self._progress = progress
        self._clock = clock or NativeThreads().now
        self.outcome = so_far or Outcome(strategy.name)
        strategy.bind(self._runner.engine)

    def run(self) -> Outcome:
        """Explore to the end.

        Raises:
            ScheduleError: the system is not repeatable.
        """
        started = self._clock() - self.outcome.seconds
        self.outcome.verdict = ""
        with rare_garbage_collection() as collect:
            while not self.outcome.verdict:
                self.outcome.seconds = self._clock() - started
                self.outcome.verdict = self._budget.met(self.outcome) or self._try_next()
                if collect() and self._progress is not None:
                    self._progress(self.outcome)
        self.outcome.seconds = self._clock() - started
        return self.outcome

    def _try_next(self) -> str:
        """Run the next schedule; why the exploration is over then, if it is."""
        plan = self._strategy.plan()
        if plan is None:
            return self._nothing_left()
        run = self._runner.run(plan)
        self._strategy.learn(run)
        if plan.rehearsal:
            return ""
        self._count(run)
        if run.ended not in GIVEN_UP and self.outcome.schedules <= self._budget.confirmed:
            require_repeatable(self._runner, self._strategy.decisions())
        if run.failure is None or self.outcome.failure is not None:
            return ""
        decisions = trimmed(self._strategy.decisions())
        self.outcome.failure = replace(run.failure, decisions=decisions)
        self.outcome.found_by = self._strategy.label()
        return "" if self._keep_going else f"schedule {self.outcome.schedules} fails: {run.failure.error}"

    def _nothing_left(self) -> str:
        bound = self._strategy.verdict()
        if bound is not None:
            return f"bound met: {bound} ({self.outcome.schedules} schedules)"
        self.outcome.exhausted = True
        return f"exhausted: {self.outcome.schedules} schedules{self._strategy.extent()}"

    def _count(self, run: Run) -> None:
        outcome = self.outcome
        outcome.steps += run.steps
        if run.ended == PRUNED:
            outcome.pruned += 1
        else:
            outcome.schedules += 1
            if run.final is not None:
                outcome.finals.add((run.failure.signature if run.failure else None, run.final))


@contextmanager
def rare_garbage_collection() -> Iterator[Callable[[], bool]]:
    """Collect by the count of schedules instead of by allocations: it costs a tenth of the speed otherwise.

    Yields:
        To be called after each schedule; True when that was a moment to collect.
    """
    enabled = gc.isenabled()
    counter = count(1)

    def collect() -> bool:
        due = not next(counter) % GARBAGE_EVERY
        if due:
            gc.collect()
        return due

    gc.disable()
    gc.freeze()  # a collection need not look at what was there before, which is most of what there is
    try:
        yield collect
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def explore(
    make_system: MakeSystem,
    strategy: Strategy,
    budget: Budget | None = None,
    rules: Rules | None = None,
    so_far: Outcome | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Try schedules of a system until one fails, a bound is met, or none is left.

    Args:
        make_system: makes the system anew for each schedule.
        strategy: which schedules, in which order.
        budget: how long; without one, to the end of the strategy.
        rules: where threads may switch and which faults are decided.
        so_far: what a search that is taken up again had found (see :mod:`migemu.lab.explore.frontier`).
        progress: called now and then with the outcome so far.

    Raises:
        ScheduleError: the system is not repeatable: something besides the decisions influences it.
    """
    return Exploration(make_system, strategy, budget or Budget(), rules or Rules(), so_far, progress).run()
