"""Textbook systems: the right ones pass every schedule, the wrong ones are found for what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.lab.explore import EARLY_TIMEOUT, SPURIOUS_WAKEUP, Dfs, Rules, explore
from migemu.lab.explore.textbook import BoundedQueue, Handover, Heartbeat, LockOrder, ReadersWriters

if TYPE_CHECKING:
    from migemu.lab.explore import MakeSystem

RIGHT: dict[str, MakeSystem] = {
    "bounded queue": lambda: BoundedQueue(2, 2, 1),
    "readers and writer": lambda: ReadersWriters(2),
    "handover": Handover,
    "one lock order": lambda: LockOrder(bystanders=1),
    "a patient waiter": lambda: Heartbeat(3, patience=2.0),
}

WRONG: dict[str, tuple[MakeSystem, str, str]] = {
    "one wake-up for two conditions": (
        lambda: BoundedQueue(2, 2, 1, notify_all=False),
        "lost-wakeup",
        "waits on queue changed",
    ),
    "if instead of while, stolen": (
        lambda: BoundedQueue(1, 2, 2, loop=False),
        "exception",
        "pop from an empty deque",
    ),
    "no barrier": (lambda: ReadersWriters(2, 2, barrier=False), "invariant", "reads-its-round"),
    "predicate looked at without the lock": (
        lambda: Handover("unlocked-check"),
        "lost-wakeup",
        "last notified by announcer, before this wait",
    ),
    "flag set after the broadcast": (
        lambda: Handover("late-flag"),
        "lost-wakeup",
        "waiter waits on flag set",
    ),
    "nobody notifies": (lambda: Handover("silent"), "wait-without-end", "a notification may be missing"),
    "crossed locks": (
        lambda: LockOrder(same_order=False),
        "deadlock",
        "loader waits for BQL, held by cleanup; cleanup waits for load_bufs_mutex, held by loader",
    ),
    "an item that never comes": (lambda: Heartbeat(3), "wait-without-end", "waiter waits on item there"),
    "an item that never comes, and timers": (
        lambda: Heartbeat(None),
        "wait-without-end",
        "this still goes on: heartbeat",
    ),
}


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("faults", [frozenset(), frozenset({SPURIOUS_WAKEUP})], ids=["calm", "spurious"])
def test_right_systems_pass_every_schedule(make: MakeSystem, faults: frozenset[str]) -> None:
    outcome = explore(make, Dfs(), rules=Rules(faults=faults))
    assert outcome.failure is None
    assert outcome.verdict == f"exhausted: {outcome.schedules} schedules"


@pytest.mark.parametrize("found", WRONG.values(), ids=WRONG)
def test_wrong_systems_are_found_for_what_they_are(found: tuple[MakeSystem, str, str]) -> None:
    make, kind, told = found
    outcome = explore(make, Dfs(), rules=Rules(max_steps=500))
    assert outcome.failure is not None
    assert outcome.failure.kind == kind
    assert told in str(outcome.failure.error)
    assert outcome.verdict.startswith(f"schedule {outcome.schedules} fails: ")


def test_an_if_around_a_wait_breaks_only_by_a_spurious_wake_up() -> None:
    assert explore(lambda: Handover("if"), Dfs()).exhausted
    outcome = explore(lambda: Handover("if"), Dfs(), rules=Rules(faults=frozenset({SPURIOUS_WAKEUP})))
    assert outcome.failure is not None
    assert outcome.failure.invariant == "waits-for-flag"


def test_a_timeout_that_comes_early_takes_the_clock_along() -> None:
    gave_up: set[float | None] = set()

    class Watched(Heartbeat):
        def final(self) -> float | None:
            gave_up.add(self.gave_up_at)
            return self.gave_up_at

    assert explore(lambda: Watched(3, patience=1.5), Dfs()).exhausted
    assert gave_up == {1.5}
    explore(lambda: Watched(3, patience=1.5), Dfs(), rules=Rules(faults=frozenset({EARLY_TIMEOUT})))
    assert gave_up == {1.5, 2.0, 2.5}, "never before its time, and late where the heartbeat was early"
