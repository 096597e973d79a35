"""A search that knows states: what it takes for one state is one, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lab.explore.test_footprints import DESIGNS, small
from lab.explore.test_planted import PLANTS, plant
from migemu.lab import bugs
from migemu.lab.bugs.hunting import what_broke
from migemu.lab.explore import Budget, Dfs, Rules, Runner, explore
from migemu.lab.explore.ahead import Ahead
from migemu.lab.explore.dice import Dice
from migemu.lab.explore.fingerprint import Fingerprints
from migemu.lab.explore.plan import Plan
from migemu.lab.explored import destination
from migemu.lab.explored_task import Task
from migemu.lab.known_states import ACCOUNTS, over_states
from migemu.lab.stock import stock
from migemu.lab.system_faults import CANCEL, CHANNEL_FAILS, PARTIAL_WRITE, WRITE_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.lab.explore import Outcome
    from migemu.lab.system import Setup
    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task as Thread

WALKS = 40


class Surveyor:
    """Walks at random and writes down which state each (state, thread) led to."""

    def __init__(self, subject: Setup) -> None:
        self.runner = Runner(subject, Rules())
        self.prints = Fingerprints(ACCOUNTS)
        self.runner.run(Plan())
        self.prints.know_constants()
        self.leads: dict[tuple[int, int], object] = {}
        self.again = 0
        self.differ: list[tuple[int, int]] = []

    def walk(self, seed: int) -> None:
        """One schedule, mostly in the native order."""
        self.dice, self.left = Dice(seed), (0, 0)
        run = self.runner.run(Plan(chooser=self))
        assert run.failure is None
        self.arrive((run.ended, run.final))

    def arrive(self, where: object) -> None:
        """The last choice has led to `where`."""
        known = self.leads.setdefault(self.left, where)
        self.again += known is where or known == where
        if known != where:
            self.differ.append(self.left)

    def thread(self, current: Thread | None, ready: list[Thread], /) -> int:
        """Look where we are, and go on."""
        engine: Engine = self.runner.engine
        menu = [*([current] if current else []), *ready]
        engine.asking = True
        state = self.prints.of(engine, engine.subject, current)
        engine.asking = False
        self.arrive(state)
        choice = 0 if self.dice.fraction() < 0.8 else self.dice.roll(len(menu))
        self.left = (state, menu[choice].tid)
        return choice

    def option(self, _kind: str, options: int, _label: str, /) -> int:
        """Any."""
        return self.dice.roll(options)


@pytest.mark.parametrize("design", DESIGNS)
def test_what_comes_next_depends_on_the_state_and_on_nothing_else(
    design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "migemu.lab.explore.walk.MACHINERY", (*_machinery(), "/tests/lab/explore/test_states.py")
    )
    survey = Surveyor(small(design, 2))
    for seed in range(WALKS):
        survey.walk(seed)
    assert not survey.differ, f"{len(survey.differ)} of {len(survey.leads)} ways on lead to several states"
    assert survey.again > 5 * WALKS, "the walks hardly met"


def _machinery() -> Iterable[str]:
    from migemu.lab.explore import walk  # noqa: PLC0415  read before it is replaced

    return walk.MACHINERY


FAULTS = ((), (WRITE_ERROR,), (PARTIAL_WRITE,), (CANCEL,), (CHANNEL_FAILS,))


def both(subject: Setup, *faults: str) -> tuple[Outcome, Outcome]:
    """All of it, by schedules and by states."""
    rules = Rules(faults=frozenset(faults), keep_going=True)
    some, all_of_it = Budget(schedules=700, confirmed=1), Budget(schedules=8000, confirmed=1)
    return explore(subject, Dfs(), some, rules), explore(subject, over_states(), all_of_it, rules)


@pytest.mark.parametrize("faults", FAULTS, ids=lambda kinds: "".join(kinds) or "calm")
@pytest.mark.parametrize("design", DESIGNS)
def test_it_ends_where_a_search_over_schedules_does(design: str, faults: tuple[str, ...]) -> None:
    schedules, states = both(small(design, 1, channels=1), *faults)
    assert states.exhausted
    assert schedules.finals <= states.finals
    assert states.finals == schedules.finals or not schedules.exhausted


@pytest.mark.parametrize("design", DESIGNS)
def test_the_stock_scenario_is_exhausted_in_some_thousand_schedules(design: str) -> None:
    subject = destination(stock(f"handoff={design}", *DESIGNS[design]), coarse=True)
    outcome = explore(subject, over_states(), Budget(schedules=3000, confirmed=1))
    assert outcome.failure is None
    assert outcome.exhausted, outcome.verdict
    assert len(outcome.finals) == 1, "a VM that runs with everything in, whatever the order"


@pytest.mark.parametrize("case", PLANTS.values(), ids=PLANTS)
def test_a_guard_that_is_missing_is_found(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, case)
    subject = destination(stock(), closing=case.fault == "packet-lost", coarse=True)
    rules = Rules(faults=frozenset({case.fault} if case.fault else ()))
    task = Task(subject, rules, "dfs", Budget(schedules=6000), seed=0, jobs=1)
    outcome = task.run()
    assert outcome.failure is not None, outcome.verdict
    assert outcome.failure.signature == case.found


UNSEEN = {
    "B17": "a flag of the mutant that no lock guards",
    "B18": "pages of RAM, which no lock guards",
    "B23": "in more schedules than a test has time for",
}
"""Broken variants that a reduced search need not find, over schedules or over states; what it cannot see."""


@pytest.mark.parametrize("name", sorted(bug.name for bug in bugs.catalogue() if bug.name not in UNSEEN))
def test_a_catalogued_bug_is_found(name: str) -> None:
    bug = bugs.get(name)
    outcome = explore(bug.broken, over_states(), Budget(schedules=10_000, confirmed=1), bug.hunt.rules)
    assert outcome.failure is not None, outcome.verdict
    assert what_broke(outcome.failure) in {bug.breaks, "wait-without-end"}


def test_it_is_the_same_search_in_every_process() -> None:
    command = ["-m", "migemu", "explore", "--strategy", "dfs", "--coarse", "--json", "--set", "devices=1"]
    told = []
    for seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": seed}
        out = subprocess.run([sys.executable, *command], env=environ, capture_output=True, check=True)
        told.append({key: json.loads(out.stdout)[key] for key in ("verdict", "schedules", "pruned", "steps")})
    assert told[0] == told[1]
    assert told[0]["verdict"].startswith("exhausted")


def test_of_two_ways_to_a_step_the_one_with_less_before_it_is_kept() -> None:
    ahead = Ahead()
    step = (1, 8, 0, 0, False)
    for past in ((0b1100, 6, 0, 2), (0b0100, 2, 0, 2), (0b0100, 6, 0, 2), (0b0100, 0, 1, 2)):
        ahead.add(step, past)
    assert ahead.events == {step: [(0b0100, 2, 0, 2), (0b0100, 0, 1, 2)]}


def test_a_wish_for_a_lock_is_met_by_who_takes_it_and_not_by_who_gives_it_back() -> None:
    lock, behind = 4, Ahead()
    behind.add((1, lock, 0, lock, False), (0, 0, 0, 1))
    behind.add((1, lock, 0, lock, True), (0, 0, 0, 1))
    released = behind.seen_before(6, (2, lock, 0, 0, -1, 0), {})
    assert released.events[1, lock, 0, lock, False] == [(1 << 2, lock, 0, 2)]
    assert released.events[1, lock, 0, lock, True] == [(0, 0, 0, 1)]
    taken = released.seen_before(5, (2, lock, 0, lock, -1, 0), {})
    assert (1, lock, 0, lock, True) not in taken.events


def test_who_wakes_a_thread_comes_before_it() -> None:
    behind = Ahead()
    behind.add((1, 0, 16, 0, False), (0, 0, 0, 1))
    enablers = {1: 6}
    assert behind.seen_before(6, (2, 1, 0, 0, -1, 0), enablers).events[1, 0, 16, 0, False] == [(4, 1, 0, 2)]
    assert enablers == {1: 6, 2: -1}
