"""Studies without sockets: a runner that tells a made-up migration with the downtime it was given."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from migemu.errors import CancelledMigrationError
from migemu.lab.runner import Measured, OneByOne
from migemu.lab.study import ScanRecord, Spec, Study
from migemu.lab.study_kept import Memory
from migemu.lab.study_scan import Point, Scan, grid
from migemu.observe.model import Versions
from migemu.observe.result import RunEnd, build_result
from migemu.scenario import Scenario, dump_toml, loads, scenario_hash
from observe.story import Story

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.study import Kept, Row, Task
    from migemu.observe.events import Event

VERSIONS = Versions(migemu="0", python="3", uvloop=None, kernel="Linux")
TEXT = """
name = "two"
[platform]
needs_interrupt_controller = false
[[device]]
count = 2
state_size = "3 MiB"
write_rate = "100 MB/s"
"""
BASE = loads(TEXT, environ={})

DowntimeOf = Callable[[Scenario], float]
"""Milliseconds, at least 86, before which nobody is done; below 0: the run fails."""


@dataclass
class Scripted:
    """A runner: a story whose end is moved so that the downtime is as wanted."""

    downtime: DowntimeOf
    seen: list[Scenario] = field(default_factory=list)
    stop_after: int | None = None
    reason: str = "destination: it broke"

    def __call__(self, scenario: Scenario) -> Measured:
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise CancelledMigrationError("interrupted")
        self.seen.append(scenario)
        wanted = self.downtime(scenario)
        return failed(scenario, self.reason) if wanted < 0 else told(scenario, wanted)


def told(scenario: Scenario, downtime: float) -> Measured:
    """A migration that took so many ms of downtime; the story's own is 86."""
    story = Story().tell()

    def late(event: Event) -> Event:
        mine = event.get("checkpoint") == "dst-precopy-bh-vm-started"
        return replace(event, t=event.t + (downtime - 86) / 1000) if mine else event

    joined = story.spoil(late).joined()
    end = RunEnd(exits={"source": 0, "destination": 0})
    return Measured(build_result(joined, scenario.model_dump(mode="json"), end), joined)


def failed(scenario: Scenario, reason: str) -> Measured:
    """A migration that failed for `reason`, as a side's error event tells it."""
    story = Story()
    story.precopy()
    story.dst(120, "error", message=reason)
    joined = story.joined()
    end = RunEnd(exit_code=1, exits={"source": 1, "destination": 1})
    return Measured(build_result(joined, scenario.model_dump(mode="json"), end), joined)


class Watched:
    """A watcher that only counts."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.skipped: list[str] = []
        self.ordered: list[Task] = []

    def order(self, tasks: Sequence[Task]) -> None:
        self.ordered = list(tasks)

    def begins(self, task: Task) -> None: ...

    def ended(self, task: Task, row: Row) -> None:  # noqa: ARG002  a watcher's signature
        self.rows.append(row)

    def left_out(self, task: Task) -> None:
        self.skipped.append(task.point.name)


def spec(*scans: Scan, runs: int = 3, seed: int = 1, warmup: int = 1, **more: object) -> Spec:
    records = tuple(ScanRecord(key=scan.key, values=scan.values) for scan in scans)
    body = {"kind": "sweep", "name": "two", "scenario": dump_toml(BASE), "scans": records, "seed": seed}
    return Spec(**(body | {"runs": runs, "warmup": warmup, "versions": VERSIONS} | more))  # type: ignore[arg-type]  # checked by pydantic


def study(asked: Spec, kept: Kept | None = None, points: Sequence[Point] | None = None) -> Study:
    scans = [Scan(scan.key, scan.values) for scan in asked.scans]
    return Study(asked, grid(BASE, scans) if points is None else points, Memory() if kept is None else kept)


def rows_of(asked: Spec, downtime: DowntimeOf, reason: str = "destination: it broke") -> list[Row]:
    """Every run of a study whose downtimes are given."""
    made = study(asked)
    made.run(Scripted(downtime, reason=reason), OneByOne(), Watched())
    return made.kept.rows


def noisy(of: DowntimeOf, *steps: float) -> DowntimeOf:
    """The same, plus these in turn for each point: runs that are not all alike."""
    turns: dict[str, Iterator[float]] = {}

    def noise(scenario: Scenario) -> float:
        return next(turns.setdefault(scenario_hash(scenario), itertools.cycle(steps)))

    return lambda scenario: of(scenario) + noise(scenario)


def channels_scan(*values: int) -> Scan:
    return Scan("channels", tuple(map(str, values)))
