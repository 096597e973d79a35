"""Strategies: what each promises, that seeds are schedules, and that bounds are said and can be taken up."""

from __future__ import annotations

import gc
import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from greenlet import greenlet  # type: ignore[import-untyped]  # greenlet ships no annotations

from migemu.errors import ScheduleError
from migemu.lab.explore import (
    Budget,
    Dfs,
    Pct,
    Portfolio,
    RandomWalk,
    Rules,
    Runner,
    explore,
    frontier,
    narrate,
)
from migemu.lab.explore.textbook import BoundedQueue, Handover, LockOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.lab.explore import Strategy
    from migemu.threads.controlled import ControlledThreads

SAMPLED: dict[str, Callable[[int], Strategy]] = {
    "random": RandomWalk,
    "pct": lambda first: Pct(3, 20, first),
    "portfolio": lambda first: Portfolio([Pct(2, 20, first), RandomWalk(first)]),
}


def crossed() -> LockOrder:
    return LockOrder(same_order=False, bystanders=2)


@pytest.mark.parametrize("make", SAMPLED.values(), ids=SAMPLED)
def test_sampling_finds_a_deadlock_and_says_by_which_seed(make: Callable[[int], Strategy]) -> None:
    outcome = explore(crossed, make(0), Budget(schedules=500))
    assert outcome.failure is not None
    assert outcome.failure.kind == "deadlock"
    again = narrate(Runner(crossed, Rules()), outcome.failure.decisions)
    assert again.failure is not None
    assert again.failure.signature == outcome.failure.signature
    assert "seed" in outcome.found_by


def test_runs_that_were_given_up_are_let_go() -> None:
    """Here those that met the deadlock; a search may make a million of them."""
    before = greenlets()
    outcome = explore(crossed, RandomWalk(0), Budget(schedules=300), Rules(keep_going=True))
    assert outcome.failure is not None
    assert greenlets() - before < 20


def test_searches_that_are_over_are_let_go_with_the_greenlets_they_kept_for_more() -> None:
    before = greenlets()
    for seed in range(30):
        explore(lambda: BoundedQueue(2, 2, 2), RandomWalk(seed), Budget(schedules=3))
    assert greenlets() - before < 20


def greenlets() -> int:
    """How many are alive that the garbage collector cannot get rid of."""
    gc.collect()
    return sum(isinstance(thing, greenlet) for thing in gc.get_objects())


@pytest.mark.parametrize("strategy", [RandomWalk, lambda first: Pct(3, 20, first)], ids=["random", "pct"])
def test_a_seed_is_a_schedule_whatever_ran_before(strategy: Callable[[int], Strategy]) -> None:
    alone = explore(crossed, strategy(7), Budget(schedules=1), Rules(keep_going=True))
    walk = strategy(0)
    explore(crossed, walk, Budget(schedules=8), Rules(keep_going=True))
    other = strategy(7)
    explore(crossed, other, Budget(schedules=1), Rules(keep_going=True))
    assert alone.schedules == 1
    assert walk.label() == other.label()
    assert walk.decisions() == other.decisions()


def test_pct_of_depth_one_never_stops_a_thread_that_can_go_on() -> None:
    strategy = Pct(1, 20)
    for _ in range(30):
        explore(lambda: BoundedQueue(2, 2, 2), strategy, Budget(schedules=1, confirmed=0))
        story = narrate(Runner(lambda: BoundedQueue(2, 2, 2), Rules()), strategy.decisions())
        order = [step.thread for step in story.steps]
        changes = sum(one != other for one, other in pairwise(order))
        ends_or_waits = sum("waits on" in note for step in story.steps for note in step.notes) + 4
        assert changes <= ends_or_waits + sum("queue lock" in step.did for step in story.steps)


def test_a_portfolio_is_over_when_its_search_has_tried_everything() -> None:
    outcome = explore(Handover, Portfolio.usual(10))
    assert outcome.exhausted
    assert outcome.failure is None


def test_a_schedule_budget_is_a_bound_that_is_said() -> None:
    outcome = explore(lambda: BoundedQueue(2, 2, 1), Dfs(), Budget(schedules=10))
    assert outcome.verdict == "bound met: 10 schedules"
    assert not outcome.exhausted


def test_a_time_budget_is_a_bound_that_is_said() -> None:
    outcome = explore(lambda: BoundedQueue(2, 2, 1), RandomWalk(), Budget(seconds=0.05))
    assert outcome.verdict.startswith("bound met: 0.05 s (")


@pytest.mark.parametrize(("preemptions", "found"), [(0, False), (1, True)])
def test_a_bound_on_preemptions_is_said_and_kept(
    preemptions: int,
    found: bool,  # noqa: FBT001  a column of the table above
) -> None:
    outcome = explore(lambda: LockOrder(same_order=False), Dfs(preemptions=preemptions))
    assert (outcome.failure is not None) == found
    if not found:
        assert "all schedules with at most 0 preemptions" in outcome.verdict


def test_no_schedule_inside_a_preemption_bound_is_left_out() -> None:
    """Against counting by hand: all schedules of the full search that stop a thread at most once."""

    def stops(decisions: tuple[int, ...]) -> int:
        story = narrate(Runner(queue, Rules()), decisions)
        return sum(1 for one in story.decisions if one.kind == "thread" and one.about and one.choice)

    def queue() -> BoundedQueue:
        return BoundedQueue(1, 1, 2)

    full = Dfs(reduce=False)
    inside = 0
    explored = explore(queue, full, Budget(schedules=1, confirmed=0))
    while not explored.exhausted:
        inside += stops(tuple(full.decisions())) <= 1
        explored = explore(
            queue, full, Budget(schedules=explored.schedules + 1, confirmed=0), so_far=explored
        )
    assert 1 < inside < explored.schedules
    assert explore(queue, Dfs(preemptions=1)).schedules == inside


def test_a_bound_on_depth_is_said() -> None:
    outcome = explore(lambda: BoundedQueue(2, 2, 1), Dfs(depth=3))
    assert "all schedules that differ in their first 3 decisions" in outcome.verdict
    assert not outcome.exhausted


@pytest.mark.parametrize(
    "options", [{}, {"reduce": False}, {"preemptions": 2}], ids=["reduced", "full", "bounded"]
)
def test_a_bounded_search_is_taken_up_where_it_stopped(options: dict[str, bool]) -> None:
    def queue() -> BoundedQueue:
        return BoundedQueue(2, 1, 1)

    whole = explore(queue, Dfs(**options), rules=Rules(keep_going=True))
    search, rules = Dfs(**options), Rules(keep_going=True)
    outcome = explore(queue, search, Budget(schedules=2), rules)
    finals = set(outcome.finals)
    pieces = 1
    while outcome.verdict.startswith("bound met: ") and "schedules with" not in outcome.verdict:
        saved = json.loads(json.dumps(frontier.save(search, rules, outcome, "queue")))
        search, rules, so_far = frontier.load(saved, "queue")
        outcome = explore(queue, search, Budget(schedules=so_far.schedules + 3), rules, so_far)
        finals |= outcome.finals
        pieces += 1
    assert pieces > 2
    assert outcome.verdict == whole.verdict
    assert (outcome.schedules, outcome.pruned) == (whole.schedules, whole.pruned)
    assert finals == whole.finals


def test_a_frontier_of_another_system_or_format_is_refused() -> None:
    search = Dfs()
    outcome = explore(Handover, search, Budget(schedules=1))
    saved = frontier.save(search, Rules(), outcome, "handover")
    with pytest.raises(ScheduleError, match="belongs to scenario handover, this is queue"):
        frontier.load(saved, "queue")
    with pytest.raises(ScheduleError, match="of format 9"):
        frontier.load({**saved, "format": 9}, "handover")


def test_a_search_that_stopped_at_a_failure_does_not_claim_to_be_complete_when_it_goes_on() -> None:
    search = Dfs()
    outcome = explore(lambda: LockOrder(same_order=False), search)
    assert outcome.failure is not None

    class Failing:
        def build(self, threads: ControlledThreads) -> None:
            def fail() -> None:
                raise ValueError("no")

            threads.spawn("a", fail)
            threads.spawn("b", threads.turn)

    search = Dfs()
    first = explore(Failing, search)
    rest = explore(Failing, search, so_far=first)
    assert first.failure is not None
    assert not rest.exhausted
    assert "where a failing one was cut short" in rest.verdict
