"""The report: what a person reads who has a failing schedule before him."""

from __future__ import annotations

import json

import pytest

from migemu.errors import ScheduleError
from migemu.lab.explore import (
    SPURIOUS_WAKEUP,
    Dfs,
    MakeSystem,
    Report,
    Rules,
    Runner,
    Shrunk,
    decode,
    explore,
    report,
    shrink,
)
from migemu.lab.explore.textbook import BoundedQueue, Handover, LockOrder


def reported(make: MakeSystem, rules: Rules | None = None) -> Report:
    rules = rules or Rules()
    failure = explore(make, Dfs(), rules=rules).failure
    assert failure is not None
    runner = Runner(make, rules)
    return report(runner, shrink(runner, failure), "a scenario")


def test_a_deadlock_reads_as_who_waits_for_whom_and_the_one_step_that_made_it() -> None:
    told = reported(lambda: LockOrder(same_order=False, bystanders=1))
    assert told.lines() == [
        "deadlock: loader waits for BQL, held by cleanup; cleanup waits for load_bufs_mutex, held by loader",
        "who waits:",
        "  loader waits for BQL, held by cleanup",
        "  cleanup waits for load_bufs_mutex, held by loader",
        "  bystander 0 waits for BQL, held by cleanup",
        "schedule: 1 deviation from the native order; no schedule with fewer fails this way",
        "  1. step 2: cleanup starts; takes BQL\n     instead of: loader takes BQL",
        "  then: nobody can go on",
        "leaves the passing order: at decision 2, before step 2, where loader takes BQL comes next",
        f"replay: migemu replay {told.token}",
    ]


def test_a_fault_is_told_as_one() -> None:
    told = reported(lambda: Handover("if"), Rules(faults=frozenset({SPURIOUS_WAKEUP})))
    first, second = told.deviations
    assert first.happens == "waiter meets spurious-wakeup flag set"
    assert first.skips == "no spurious-wakeup"
    assert second.happens == "waiter comes back from waiting on flag set"
    assert told.last == "waiter comes back from waiting on flag set"
    assert told.invariant == "waits-for-flag"


def test_a_choice_of_waiters_is_told_by_their_names() -> None:
    told = reported(lambda: BoundedQueue(1, 2, 2, notify_all=False))
    assert told.kind == "lost-wakeup"
    happened = "\n".join(told.lines())
    assert "woken now it would go on" in happened
    assert "consumer" in told.deviations[0].happens


def test_a_native_order_that_fails_is_said_to_fail() -> None:
    told = reported(lambda: Handover("silent"))
    assert told.deviations == ()
    assert told.leaves.startswith("it does not: the native order fails as well (wait without end")


def test_a_report_is_json_and_its_token_replays() -> None:
    told = reported(lambda: LockOrder(same_order=False))
    raw = json.loads(json.dumps(told.as_dict()))
    assert raw["kind"] == "deadlock"
    assert raw["deviations"][0]["skips"] == "loader takes BQL"
    assert decode(raw["token"], "a scenario").decisions


def test_a_schedule_that_passes_is_no_report() -> None:
    with pytest.raises(ScheduleError, match="does not fail any more"):
        report(Runner(LockOrder, Rules()), Shrunk((), (), 0, 0), "a scenario")
