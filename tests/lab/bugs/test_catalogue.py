"""Every bug of the catalogue is found from a cold start and made small; the correct code does not have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migemu.errors import ScheduleError, UsageError
from migemu.lab import bugs
from migemu.lab.bugs.hunting import find, under_same_schedule
from migemu.lab.explore import Budget, Dfs, Runner, decode, explore, narrate
from migemu.lab.known_states import over_states

MOST_DEVIATIONS = 15
ALL = bugs.names()
ASKED_FOR = (
    "B1 B2 B3 B4 B5 B6 B7 B8 B10 B12 B13 B15 B16 B17 B18 B20 B21 B23 B29 B30 B31 B34 D1 D2 D3 D4 D5 "
    "C5 C7 E3 E6 K6 K19 K20 mark-without-data ready-device-waits"
)

SMALL = ["B1", "B2", "B3", "B7", "B8", "B13", "B16", "B17", "B18", "B20", "B34", "D2", "C5", "E3"]
"""Those whose correct variant has few states."""


def test_the_catalogue_has_every_bug_that_was_asked_for() -> None:
    assert set(ASKED_FOR.split()) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_it_is_found_within_its_budget_and_replays_by_its_token(name: str) -> None:
    bug = bugs.get(name)
    found = find(bug, tries=600)
    assert found.shrunk.deviations <= MOST_DEVIATIONS
    token = decode(found.report.token, bug.broken.text())
    again = narrate(Runner(bug.broken, token.rules), token.decisions)
    assert again.failure is not None
    assert again.failure.signature == found.failure.signature
    assert under_same_schedule(found, bug.correct) is None, "the correct variant breaks under that schedule"


@pytest.mark.parametrize("name", ALL)
def test_the_correct_variant_passes_other_schedules(name: str) -> None:
    bug = bugs.get(name)
    outcome = explore(bug.correct, Dfs(), Budget(schedules=150, confirmed=1), bug.hunt.rules)
    assert outcome.failure is None, outcome.verdict


@pytest.mark.parametrize("name", SMALL)
def test_a_small_correct_variant_passes_all_schedules(name: str) -> None:
    bug = bugs.get(name)
    outcome = explore(bug.correct, over_states(), Budget(schedules=700), bug.hunt.rules)
    assert outcome.failure is None, outcome.verdict
    assert outcome.exhausted, outcome.verdict


@pytest.mark.parametrize("name", ALL)
def test_its_story_is_whole(name: str) -> None:
    bug = bugs.get(name)
    told = (bug.title, bug.changed, bug.instead, *vars(bug.story).values())
    assert all(told[:3]), bug.name
    for part in ("mechanism", "happened", "fix", "versions", "evidence"):
        assert getattr(bug.story, part).strip()
    assert bug.broken.text() != bug.correct.text(), "a token must not fit both variants"
    assert bug.hypothesis == name.startswith("D")


def test_two_seeds_find_the_same_bug() -> None:
    first, second = (find(bugs.get("B4"), seed, tries=200) for seed in (0, 1000))
    assert first.failure.signature == second.failure.signature


def test_a_token_does_not_fit_another_bug() -> None:
    token = find(bugs.get("B13")).report.token
    with pytest.raises(ScheduleError, match="belongs to scenario"):
        decode(token, bugs.get("B16").broken.text())


def test_an_unknown_bug_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"no bug .B99.*B1, B2"):
        bugs.get("B99")


def test_a_bug_that_is_not_found_says_how_far_it_looked() -> None:
    bug = bugs.get("B13")
    hidden = replace(bug, broken=bug.correct)
    with pytest.raises(ScheduleError, match="B13 was not found: "):
        find(hidden)
