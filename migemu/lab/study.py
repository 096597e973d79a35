"""A study: a grid of scenarios, each migrated several times, in an order that drifts cannot bias.

A machine that gets warmer, or busier, in the course of an hour must not favour what was measured first. So
the runs come in rounds: every round migrates every point once, in an order drawn anew from the seed.
Before the first round each point has warm-up runs that are not counted.

Whoever starts a study hands in a runner (how a scenario is migrated), an executor (how many at a time), a
place where finished runs are kept, and a watcher. A study that was interrupted goes on where it was: what
is kept is not run again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from pydantic import ConfigDict, Field

from migemu.lab.runner import Job
from migemu.observe.model import Record, Result, Versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migemu.lab.runner import Executor, Finished, Runner
    from migemu.lab.study_scan import Point
    from migemu.observe.events import Event
    from migemu.scenario import Scenario

SCHEMA: Literal["migemu.study/1"] = "migemu.study/1"

HOPELESS = 3
"""Runs of a point that all failed after which its other runs are left out: a design that hangs takes its
whole patience each time, and a fourth hang says nothing new."""


class ScanRecord(Record):
    """One key that was varied."""

    key: str
    values: tuple[str, ...]


class Spec(Record):
    """What a study does; two studies of one spec may be put together."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["migemu.study/1"] = Field(default=SCHEMA, alias="schema")
    kind: Literal["compare", "sweep"]
    name: str = ""
    scenario: str = Field(description="the base scenario as TOML, --set included")
    scans: tuple[ScanRecord, ...] = ()
    skipped: dict[str, str] = Field(default={}, description="points that cannot run, with the reason")
    seed: int = Field(description="of the order of runs")
    runs: int = Field(description="counted runs of each point")
    warmup: int = Field(default=1, description="runs of each point that are not counted")
    virtual: bool = Field(default=False, description="in virtual time, not over sockets")
    notes: tuple[str, ...] = Field(default=(), description="what a reader must know before quoting figures")
    real: dict[str, str] = Field(default={}, description="designs run by a real QEMU, each with its program")
    versions: Versions


class Row(Record):
    """One counted run, as kept."""

    point: str
    settings: dict[str, str]
    run: int = Field(description="which of its point's runs, from 0")
    seconds: float = Field(description="of real time, the processes' start included")
    figures: dict[str, float] = Field(description="see migemu/lab/study_figures.py")
    result: Result

    @property
    def completed(self) -> bool:
        """Whether the migration did."""
        return self.result.verdict == "completed"


class Task(NamedTuple):
    """One migration to be done."""

    point: Point
    run: int
    """Which of the point's counted runs, from 0; -1 for a warm-up."""


class Kept(Protocol):
    """Where finished runs are kept."""

    rows: list[Row]

    def add(self, row: Row, scenario: Scenario, events: Sequence[Event]) -> None:
        """Keep a run that has just been counted."""
        ...


class Watcher(Protocol):
    """Is told how far a study is."""

    def order(self, tasks: Sequence[Task]) -> None:
        """These are to be done, in this order."""
        ...

    def begins(self, task: Task) -> None:
        """A migration starts."""
        ...

    def ended(self, task: Task, row: Row) -> None:
        """It is over; a warm-up's row is not kept."""
        ...

    def left_out(self, task: Task) -> None:
        """It is not run, because all of its point's runs have failed."""
        ...


@dataclass
class Study:
    """A study that is about to run.

    Args:
        spec: what was asked for.
        points: its grid.
        kept: what is finished already, and where the rest goes.
    """

    spec: Spec
    points: Sequence[Point]
    kept: Kept

    def tasks(self) -> list[Task]:
        """What is still to be done, in order: warm-ups, then round by round."""
        done = {(row.point, row.run) for row in self.kept.rows}
        rounds = [self._round(number) for number in range(self.spec.runs)]
        counted = [task for tasks in rounds for task in tasks if (task.point.name, task.run) not in done]
        cold = {task.point.name for task in counted}
        warm = [task for number in range(-self.spec.warmup, 0) for task in self._round(number)]
        return [*(task for task in warm if task.point.name in cold), *counted]

    def _round(self, number: int) -> list[Task]:
        """Every point once; the order depends on nothing but the seed and the round."""
        points = list(self.points)
        random.Random(f"{self.spec.seed} {number}").shuffle(points)  # noqa: S311  an order, not a secret
        return [Task(point, max(-1, number)) for point in points]

    def run(self, runner: Runner, executor: Executor, watcher: Watcher) -> None:
        """Do what is still to be done.

        Raises:
            CancelledMigrationError: it was interrupted; what is finished is kept.
        """
        tasks = self.tasks()
        watcher.order(tasks)
        for task, finished in executor.each(self._worthwhile(tasks, watcher), lambda task: job(task, runner)):
            row = make_row(task, finished)
            if task.run >= 0:
                self.kept.rows.append(row)
                self.kept.add(row, scenario_of(task), finished.measured.events)
            watcher.ended(task, row)

    def _worthwhile(self, tasks: Sequence[Task], watcher: Watcher) -> Iterator[Task]:
        """Tasks as they come due, without those of points that are hopeless by now."""
        for task in tasks:
            if hopeless(self.kept.rows, task.point.name):
                watcher.left_out(task)
            else:
                watcher.begins(task)
                yield task


def job(task: Task, runner: Runner) -> Job:
    """What a task migrates, by its point's own runner where it has one."""
    return Job(task.point.runner or runner, scenario_of(task))


def scenario_of(task: Task) -> Scenario:
    """What a task migrates; where modelled times vary, each run has a seed of its own."""
    return task.point.scenario.of_run(task.run)


def hopeless(rows: Sequence[Row], point: str) -> bool:
    """Whether a point has failed so often, and never completed, that more runs tell nothing."""
    mine = [row.completed for row in rows if row.point == point]
    return len(mine) >= HOPELESS and not any(mine)


def make_row(task: Task, finished: Finished) -> Row:
    """What is kept of a run."""
    measured = finished.measured
    return Row(
        point=task.point.name,
        settings=dict(task.point.settings),
        run=task.run,
        seconds=round(finished.seconds, 3),
        figures=finished.figures,
        result=measured.result,
    )
