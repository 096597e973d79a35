"""`migemu explore` with the stock scenario finds a guard that is missing in vfio/ or handoff/.

Each case takes one guard out of production's own code, by its source, for the time of the test. The same
exploration of the untouched code finds nothing.
"""

from __future__ import annotations

import inspect
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from migemu.lab.explore import Budget, Rules
from migemu.lab.explored import destination
from migemu.lab.explored_task import Task
from migemu.lab.stock import stock

if TYPE_CHECKING:
    from migemu.lab.explore import Outcome

BUDGET = Budget(schedules=500)
"""Of each search; `migemu explore --budget 500`."""


class Plant(NamedTuple):
    """One guard that is taken out."""

    where: str
    """module:class.method"""
    guard: str
    """As it stands in the source, once."""
    instead: str
    found: tuple[str, str]
    """Kind of failure, and the invariant where one is broken."""
    deviations: int
    """At most so many are left after shrinking."""
    fault: str = ""
    """What has to be allowed to go wrong: `--fault`."""


PLANTS = {
    "the loader is not woken for its buffer": Plant(
        "migemu.vfio.reassembly:StateBuffers._wake_loader",
        "if idx == self.slots.next:",
        "if idx == self.slots.next + 1:",
        ("lost-wakeup", ""),
        1,
    ),
    "one wake-up is believed": Plant(
        "migemu.vfio.reassembly:StateBuffers._wait_turn",
        "while not self.slots.turn_come() and not self.complete:",
        "if not self.slots.turn_come() and not self.complete:",
        ("invariant", "ends"),
        4,
        "spurious-wakeup",
    ),
    "a loader that was woken by an error sleeps on": Plant(
        "migemu.vfio.mutex:LoadBufsMutex.raise_if_failed",
        "if self._error is not None:",
        "if False:",
        ("wait-without-end", ""),
        1,
        "cancel",
    ),
    "the rest of a partial write is dropped": Plant(
        "migemu.vfio.load:LoadDevice._write_all",
        "while len(span):",
        "if len(span):",
        ("invariant", "data-intact"),
        1,
        "partial-write",
    ),
    "the config does not wait for its mark": Plant(
        "migemu.handoff.load_ready:LoadReady.load",
        "self._wait_for_mark(slot)",
        "pass",
        ("invariant", "config-after-iterables"),
        1,
    ),
    "the config is loaded without the big lock": Plant(
        "migemu.handoff.loading:Loading.config_lock",
        "if self.design.bql_for_config else",
        "if False else",
        ("invariant", "bql-for-config"),
        0,
    ),
    "a mutex is taken with the big lock held": Plant(
        "migemu.handoff.machine:Machine.without_bql",
        "if self.bql.held() else",
        "if False else",
        ("invariant", "lock-order"),
        0,
    ),
    "the VM does not wait for the load threads": Plant(
        "migemu.handoff.base:Handoff.stream_end",
        "self.machine.pool.wait(self.machine.patience.of_those_behind())",
        "pass",
        ("invariant", "start-after-all"),
        0,
    ),
    "nobody says that no channel is left": Plant(
        "migemu.handoff.base:Handoff.channels_ended",
        "slot.buffers.channels_ended(why)",
        "pass",
        ("wait-without-end", ""),
        1,
        "packet-lost",
    ),
}


def plant(patch: pytest.MonkeyPatch, case: Plant) -> None:
    """Take the guard out of the class, until the test is over."""
    module_name, _, path = case.where.partition(":")
    class_name, _, name = path.partition(".")
    module = import_module(module_name)
    owner = getattr(module, class_name)
    source = textwrap.dedent(inspect.getsource(vars(owner)[name]))
    assert source.count(case.guard) == 1
    made: dict[str, Any] = {}
    exec(compile(source.replace(case.guard, case.instead), case.where, "exec"), vars(module), made)  # noqa: S102  our own source
    patch.setattr(owner, name, made[name])


def search(fault: str) -> tuple[Task, Outcome]:
    """What `migemu explore --budget 500` does; the channels close where it matters that they do."""
    subject = destination(stock(), closing=fault == "packet-lost")
    rules = Rules(faults=frozenset({fault} if fault else ()))
    task = Task(subject, rules, "portfolio", BUDGET, seed=0, jobs=1)
    return task, task.run()


@pytest.mark.parametrize("case", PLANTS.values(), ids=PLANTS)
def test_a_guard_that_is_missing_is_found(case: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, case)
    task, outcome = search(case.fault)
    assert outcome.failure is not None, outcome.verdict
    assert outcome.failure.signature == case.found, outcome.verdict
    assert task.finding(outcome.failure).shrunk.deviations <= case.deviations


@pytest.mark.parametrize("fault", sorted({case.fault for case in PLANTS.values()}))
def test_the_code_as_it_is_passes_the_same_search(fault: str) -> None:
    outcome = search(fault)[1]
    assert outcome.failure is None
    assert outcome.schedules == BUDGET.schedules
