"""The laws of merging: whoever ran which shard, and in which order, the report is one."""

from __future__ import annotations

import json
from functools import cache, reduce
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.errors import ScheduleError
from migemu.lab.campaign import Campaign, empty_report, merge, run_shard
from migemu.lab.campaign.systems import of_bug
from migemu.lab.explore.shards import earliest, missing

ITEMS = 12
SWEEP = """
name = "tiny"
[ram]
size = "1 MiB"
[[device]]
state_size = "2 MiB"
"""
CAMPAIGNS = {
    "exploration": Campaign.exploration(of_bug("B1", "mixed", 3), 0, ITEMS),
    "sweep": Campaign.sweep(
        SWEEP, [("channels", ["1", "2", "3"]), ("migration.packet_size", ["1 MiB", "256 KiB"])], 2
    ),
}
kinds = st.sampled_from(sorted(CAMPAIGNS))


@cache
def shard_text(kind: str, first: int, count: int) -> str:
    return json.dumps(run_shard(json.loads(json.dumps(CAMPAIGNS[kind].raw)), first, count))


def shard(kind: str, first: int, count: int) -> Any:
    return json.loads(shard_text(kind, first, count))


def divisions() -> st.SearchStrategy[list[tuple[int, int]]]:
    """Every way to cut the items into neighbouring pieces, some of them empty, in any order."""
    cuts = st.lists(st.integers(0, ITEMS), max_size=5).map(lambda at: [0, *sorted(at), ITEMS])
    pieces = cuts.map(lambda at: [(a, b - a) for a, b in pairwise(at)])
    return pieces.flatmap(st.permutations)


@settings(max_examples=60, deadline=None)
@given(kind=kinds, pieces=divisions())
def test_any_division_in_any_order_is_the_whole(kind: str, pieces: list[tuple[int, int]]) -> None:
    raw = CAMPAIGNS[kind].raw
    reports = [shard(kind, *piece) for piece in pieces]
    merged = reduce(lambda one, other: merge(raw, one, other), reports, empty_report(raw))
    assert json.dumps(merged) == shard_text(kind, 0, ITEMS)


@settings(max_examples=60, deadline=None)
@given(kind=kinds, pieces=divisions(), where=st.integers(0, 6))
def test_merging_is_associative_and_commutative(kind: str, pieces: list[tuple[int, int]], where: int) -> None:
    raw = CAMPAIGNS[kind].raw

    def put(reports: list[Any]) -> Any:
        return reduce(lambda one, other: merge(raw, one, other), reports, empty_report(raw))

    reports = [shard(kind, *piece) for piece in pieces]
    left, right = put(reports[:where]), put(reports[where:])
    assert merge(raw, left, right) == merge(raw, right, left) == put(reports)
    assert merge(raw, empty_report(raw), left) == left


def test_the_earliest_failing_seed_wins_whoever_found_it() -> None:
    whole = shard("exploration", 0, ITEMS)
    seeds = [seed for seed in range(ITEMS) if shard("exploration", seed, 1)["failures"]]
    found = earliest(whole)
    assert len(seeds) > 1
    assert found is not None
    assert found["seed"] == seeds[0]
    assert sum(failure["count"] for failure in whole["failures"].values()) == len(seeds)


def test_every_run_of_a_sweep_is_there_once_in_order() -> None:
    rows = shard("sweep", 0, ITEMS)["rows"]
    assert list(rows) == [str(item) for item in range(ITEMS)]
    assert [row["run"] for row in rows.values()] == [0, 1] * 6
    assert all(row["figures"]["downtime"] > 0 for row in rows.values())
    assert len({row["point"] for row in rows.values()}) == 6


@given(first=st.integers(0, 1000), count=st.integers(0, 1000), of=st.integers(1, 64))
def test_parts_cover_a_campaign_once_and_are_fair(first: int, count: int, of: int) -> None:
    whole = Campaign(CAMPAIGNS["exploration"].raw, first, count)
    parts = [whole.share(index, of) for index in range(of)]
    covered = [item for part in parts for item in range(part.first, part.first + part.count)]
    assert covered == list(range(first, first + count))
    assert max(part.count for part in parts) - min(part.count for part in parts) <= 1


@pytest.mark.parametrize("kind", sorted(CAMPAIGNS))
def test_a_shard_that_is_there_twice_is_refused_not_counted_twice(kind: str) -> None:
    with pytest.raises(ScheduleError, match="two reports"):
        merge(CAMPAIGNS[kind].raw, shard(kind, 0, 3), shard(kind, 2, 2))
    assert missing(shard(kind, 0, 3), 0, 5) == [(3, 2)]


def test_a_run_does_not_depend_on_the_hundreds_before_it() -> None:
    # Greenlets that had carried threads of many failing runs once came to their recursion limit.
    report = run_shard(CAMPAIGNS["exploration"].raw, 0, 1500)
    assert report["failures"].keys() == {"wait-without-end", "invariant config-last"}
