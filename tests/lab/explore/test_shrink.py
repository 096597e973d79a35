"""Shrinking: the same failure with fewer deviations, down to the known minimum, and never another failure."""

from __future__ import annotations

import pytest

from migemu.lab.explore import (
    SPURIOUS_WAKEUP,
    Budget,
    Dfs,
    Failure,
    MakeSystem,
    RandomWalk,
    Rules,
    Runner,
    explore,
    narrate,
    shrink,
)
from migemu.lab.explore.shrink import deviations
from migemu.lab.explore.textbook import BoundedQueue, Handover, LockOrder


def longest_failure(make: MakeSystem, rules: Rules, seeds: int = 400) -> Failure:
    """Of the random schedules that fail, the one that deviates most."""
    found: list[Failure] = []
    for seed in range(seeds):
        outcome = explore(make, RandomWalk(seed), Budget(schedules=1, confirmed=0), rules)
        if outcome.failure is not None:
            found.append(outcome.failure)
    return max(found, key=lambda failure: deviations(failure.decisions))


CASES: dict[str, tuple[MakeSystem, Rules, int]] = {
    "crossed locks": (lambda: LockOrder(same_order=False, bystanders=3), Rules(), 1),
    "lost wake-up": (lambda: BoundedQueue(2, 2, 1, notify_all=False), Rules(), 2),
    "flag after the broadcast": (lambda: Handover("late-flag"), Rules(), 1),
    "spurious wake-up": (lambda: Handover("if"), Rules(faults=frozenset({SPURIOUS_WAKEUP})), 2),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_random_failure_shrinks_to_the_fewest_deviations(case: tuple[MakeSystem, Rules, int]) -> None:
    make, rules, fewest = case
    failure = longest_failure(make, rules)
    runner = Runner(make, rules)
    shrunk = shrink(runner, failure)
    assert deviations(shrunk.original) > fewest
    assert shrunk.deviations == fewest
    assert shrunk.minimal
    told = narrate(runner, shrunk.decisions)
    assert told.failure is not None
    assert told.failure.signature == failure.signature


def test_the_fewest_is_what_a_full_search_finds_too() -> None:
    def queue() -> BoundedQueue:
        return BoundedQueue(1, 2, 2, notify_all=False)

    search = Dfs(reduce=False)
    failing: list[int] = []
    outcome = explore(queue, search, Budget(schedules=1, confirmed=0), Rules(keep_going=True))
    while not outcome.exhausted:
        if narrate(Runner(queue, Rules()), search.decisions()).failure is not None:
            failing.append(deviations(search.decisions()))
        budget = Budget(schedules=outcome.schedules + 1, confirmed=0)
        outcome = explore(queue, search, budget, Rules(keep_going=True), outcome)
    shrunk = shrink(Runner(queue, Rules()), longest_failure(queue, Rules()))
    assert shrunk.deviations == min(failing)


def test_a_failure_of_the_native_order_shrinks_to_nothing() -> None:
    runner = Runner(lambda: Handover("silent"), Rules())
    failure = longest_failure(lambda: Handover("silent"), Rules())
    shrunk = shrink(runner, failure)
    assert shrunk.decisions == ()
    assert shrunk.minimal


def test_shrinking_stops_at_its_budget_with_the_best_so_far() -> None:
    make, rules, fewest = CASES["lost wake-up"]
    failure = longest_failure(make, rules)
    shrunk = shrink(Runner(make, rules), failure, tries=3)
    assert shrunk.tries == 3
    assert fewest <= shrunk.deviations <= deviations(failure.decisions)
    told = narrate(Runner(make, rules), shrunk.decisions)
    assert told.failure is not None
    assert told.failure.signature == failure.signature


def test_a_smaller_schedule_that_breaks_something_else_is_not_taken() -> None:
    """The queue without loops breaks in two ways: something is taken that is not there, or it overflows."""

    def make() -> BoundedQueue:
        return BoundedQueue(2, 2, 2, notify_all=False, loop=False)

    failures = [
        explore(make, RandomWalk(seed), Budget(schedules=1, confirmed=0)).failure for seed in range(100)
    ]
    kinds = {failure.kind: failure for failure in failures if failure is not None}
    assert kinds.keys() == {"exception", "invariant"}
    for kind, failure in kinds.items():
        shrunk = shrink(Runner(make, Rules()), failure)
        told = narrate(Runner(make, Rules()), shrunk.decisions)
        assert told.failure is not None
        assert told.failure.kind == kind
