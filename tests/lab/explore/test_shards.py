"""Shards: pure functions of a range of seeds; however the work is divided, the report is the same."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from migemu.errors import ScheduleError, UsageError
from migemu.lab.explore import Budget, Rules, Runner, narrate
from migemu.lab.explore.jobs import run_jobs
from migemu.lab.explore.shards import Spec, earliest, empty_report, merge, missing, run_shard
from migemu.lab.explored import destination
from migemu.lab.explored_task import Task
from migemu.lab.stock import stock

SPEC = Spec(
    "migemu.lab.explore.textbook:by_name",
    {"name": "BoundedQueue", "producers": 2, "consumers": 2, "items": 1, "notify_all": False},
    rules=Rules(releases=True),
)


def shard(first: int, count: int, spec: Spec = SPEC) -> dict[str, Any]:
    """As another machine would run it: JSON in, JSON out."""
    raw = json.loads(json.dumps(spec.as_dict()))
    report: dict[str, Any] = json.loads(json.dumps(run_shard(raw, first, count)))
    return report


def test_a_division_into_shards_does_not_change_the_report() -> None:
    whole = shard(0, 300)
    pieces = [shard(0, 70), shard(70, 30), shard(100, 199), shard(299, 1)]
    assert whole["failures"]
    for order in permutations(pieces):
        merged = order[0]
        for piece in order[1:]:
            merged = merge(merged, piece)
        assert merged == whole
    right = merge(pieces[0], merge(pieces[1], merge(pieces[2], pieces[3])))
    assert right == whole


def test_the_earliest_failing_seed_wins_and_replays() -> None:
    found = earliest(shard(0, 300))
    assert found is not None
    seed = found["seed"]
    assert earliest(shard(0, seed)) is None
    assert earliest(shard(seed, 1)) == {**found, "count": 1}
    told = narrate(Runner(SPEC.make_system(), SPEC.rules), found["decisions"])
    assert told.failure is not None
    assert told.failure.kind == "lost-wakeup"
    assert f"seed {seed}" in found["strategy"]


@pytest.mark.parametrize("strategy", ["random", "pct", "mixed"])
def test_every_strategy_is_a_function_of_the_seed(strategy: str) -> None:
    spec = Spec(SPEC.system, SPEC.arguments, strategy)
    assert merge(shard(0, 20, spec), shard(20, 20, spec)) == shard(0, 40, spec)


def test_processes_give_the_same_report_as_none() -> None:
    alone = run_jobs(SPEC, 0, 120, jobs=1, shard=50)
    seen: list[int] = []
    together = run_jobs(
        SPEC, 0, 120, jobs=2, shard=30, progress=lambda report: seen.append(report["schedules"])
    )
    assert together == alone == shard(0, 120)
    assert seen == [30, 60, 90, 120]


def test_a_campaign_goes_on_where_reports_are_missing() -> None:
    lost = merge(shard(0, 40), shard(60, 10))
    assert missing(lost, 0, 100) == [(40, 20), (70, 30)]
    assert run_jobs(SPEC, 0, 100, report=lost) == shard(0, 100)
    assert missing(shard(0, 100), 20, 30) == []
    assert missing(empty_report(SPEC), 5, 3) == [(5, 3)]


def test_reports_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ScheduleError, match="are in two reports"):
        merge(shard(0, 10), shard(5, 10))
    with pytest.raises(ScheduleError, match="different explorations"):
        merge(shard(0, 5), shard(5, 5, Spec(SPEC.system, SPEC.arguments, "random")))


@pytest.mark.parametrize(
    ("system", "strategy", "told"),
    [
        ("migemu.nowhere:x", "mixed", "no system migemu.nowhere:x"),
        ("migemu.lab.explore.shards:nothing", "mixed", "no system"),
        (SPEC.system, "luck", "unknown strategy luck"),
    ],
)
def test_a_wrong_specification_is_a_usage_error(system: str, strategy: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run_shard(Spec(system, SPEC.arguments, strategy).as_dict(), 0, 1)


def test_an_empty_shard_is_an_empty_report() -> None:
    assert shard(7, 0) == empty_report(SPEC)


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_several_processes_find_what_one_does(strategy: str) -> None:
    subject, rules = destination(stock()), Rules(faults=frozenset({"early-timeout", "packet-lost"}))
    one, two = (
        Task(subject, rules, strategy, Budget(schedules=600), seed=3, jobs=jobs).run() for jobs in (1, 2)
    )
    assert one.failure is not None
    assert two.failure is not None
    assert one.failure.decisions == two.failure.decisions
    assert one.failure.signature == two.failure.signature
