"""What the measuring verbs share: their options, and running a study to its end."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console

from migemu.cli.options import CONFIG, LINK, SET, link_settings
from migemu.cli.run import migrate_pair
from migemu.errors import CancelledMigrationError, UsageError
from migemu.lab.runner import Executor, Measured, OneByOne, Runner
from migemu.lab.study import ScanRecord, Spec, Study
from migemu.lab.study_kept import Folder, Memory
from migemu.lab.study_output import REPORT, publish, summarise
from migemu.lab.study_watch import Lines, watching
from migemu.observe import amounts
from migemu.observe.recorder import make_result, prepare
from migemu.observe.result import versions
from migemu.scenario import dump_toml, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from migemu.lab.study import Row, Task
    from migemu.lab.study_scan import Point, Scan
    from migemu.lab.study_summary import Summary
    from migemu.scenario import Scenario

SHOWN_ORDER = 8
"""Runs of the order that are printed ahead; their numbers follow as they end."""

OPTIONS = (
    CONFIG,
    SET,
    LINK,
    click.option(
        "--runs",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Runs of each point.  [default: 5; virtual: 1]",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(0, 100),
        metavar="N",
        help="Runs of each point before, not counted.  [default: 1; virtual: 0]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        metavar="N",
        default=1,
        show_default=True,
        help="Of the order of the runs; the workload's own seed is --set seed=N.",
    ),
    click.option(
        "--dilation",
        type=float,
        metavar="N",
        help="Run the model N times slower; figures are scaled back and marked.",
    ),
    click.option(
        "--virtual", is_flag=True, help="In virtual time instead of over sockets: link and clock modelled."
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Keep raw figures, JSON, HTML report and charts there; an interrupted study goes on there.",
    ),
    click.option(
        "--jobs",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        metavar="N",
        help="With --virtual: so many runs at a time, each in a process of its own.",
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print a line of JSON for each run, the summary last."
    ),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked for with the options that compare and sweep share."""

    config: Path | None
    overrides: tuple[str, ...]
    link: str | None
    runs: int | None
    warmup: int | None
    seed: int
    dilation: float | None
    virtual: bool
    out: Path | None
    jobs: int
    as_json: bool

    def base(self) -> Scenario:
        """The workload; what --set says wins over --link and --dilation, which are short for settings."""
        slower = () if self.dilation is None else (f"dilation={self.dilation!r}",)
        return load(self.config, overrides=(*link_settings(self.link), *slower, *self.overrides))

    def spec(
        self,
        kind: Literal["compare", "sweep"],
        base: Scenario,
        scans: Sequence[Scan],
        *,
        notes: Sequence[str] = (),
        skipped: dict[str, str] | None = None,
    ) -> Spec:
        """The study that was asked for; runs in virtual time are all alike, so one is enough."""
        runs, warmup = (1, 0) if self.virtual else (5, 1)
        return Spec(
            kind=kind,
            name=base.name,
            scenario=dump_toml(base),
            scans=tuple(ScanRecord(key=scan.key, values=scan.values) for scan in scans),
            skipped=skipped or {},
            seed=self.seed,
            runs=runs if self.runs is None else self.runs,
            warmup=warmup if self.warmup is None else self.warmup,
            virtual=self.virtual,
            notes=(*notes, *self._notes(base)),
            versions=versions(),
        )

    def _notes(self, base: Scenario) -> tuple[str, ...]:
        """What a reader must know before quoting figures."""
        by = f"ran {base.dilation:g} times slower (dilation); all figures are scaled back to full speed"
        modelled = "virtual time: the link, the devices and the clock are models"
        return (*((by,) if base.dilation != 1 else ()), *((modelled,) if self.virtual else ()))

    def runner(self) -> Runner:
        """What migrates a point."""
        if not self.virtual:
            return SocketRunner()
        from migemu.lab.virtual import virtual_runner  # noqa: PLC0415  greenlets are for those who ask for them

        return virtual_runner

    def executor(self) -> Executor:
        """How many points at a time.

        Raises:
            UsageError: several, of runs that are measured in real time.
        """
        if self.jobs == 1:
            return OneByOne()
        if not self.virtual:
            raise UsageError("--jobs goes with --virtual: real runs side by side would share the processors")
        from migemu.lab.executors import SideBySide  # noqa: PLC0415  heavy, and only for those who ask for it

        return SideBySide(self.jobs, events=self.out is not None)


def study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options, and hand it what they said as its `wishes`."""

    def call(**said: Any) -> None:
        mine = {name: said.pop(name) for name in Wishes.__dataclass_fields__}
        command(wishes=Wishes(**mine), **said)

    wrapped: Callable[..., None] = update_wrapper(call, command)
    for option in reversed(OPTIONS):
        wrapped = option(wrapped)
    return wrapped


class SocketRunner:
    """Migrates between two processes on this machine, over its sockets."""

    def __call__(self, scenario: Scenario) -> Measured:
        """Run `scenario` once.

        Raises:
            CancelledMigrationError: a person ended it.
            UsageError: the processes refused what they were asked, so no run of it can succeed.
        """
        told = migrate_pair(scenario, lambda _event: None)
        if told.interrupted:
            raise CancelledMigrationError("interrupted")
        if told.end.exit_code == UsageError.exit_code:
            raise UsageError("\n".join(told.end.reasons))
        return Measured(make_result(scenario, told.events, told.end), told.events)


class JsonLines(Lines):
    """A line of JSON for each counted run."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(Console(file=stream), [])
        self._stream = stream

    def ended(self, task: Task, row: Row) -> None:
        """Print the run's figures."""
        if task.run >= 0:
            body = {"schema": "migemu.run/1", **row.model_dump(mode="json", exclude={"result"})}
            say_json(self._stream, body | {"verdict": row.result.verdict, "reasons": row.result.reasons})

    def left_out(self, task: Task) -> None:
        """The summary tells why."""


def say_json(stream: TextIO, body: Any) -> None:
    """One line."""
    stream.write(json.dumps(body, separators=(",", ":"), default=str) + "\n")
    stream.flush()


def measure(wishes: Wishes, spec: Spec, points: Sequence[Point], console: Console) -> Summary:
    """Run a study, or what is left of it, and keep what it says.

    Raises:
        CancelledMigrationError: it was interrupted; says how to go on.
        UsageError: what was asked for cannot be combined.
    """
    runner, executor = wishes.runner(), wishes.executor()
    kept = Memory() if wishes.out is None else Folder(prepare(wishes.out, many=True), spec)
    study = Study(spec, points, kept)
    try:
        if wishes.as_json:
            study.run(runner, executor, JsonLines(sys.stdout))
        else:
            _announce(study, console)
            with watching(console, kept.rows) as watcher:
                study.run(runner, executor, watcher)
    except (CancelledMigrationError, KeyboardInterrupt):
        raise CancelledMigrationError(_interrupted(study, wishes.out)) from None
    if isinstance(kept, Folder):
        kept.settle()
        return publish(kept.path)
    return summarise(spec, kept.rows)


def _announce(study: Study, console: Console) -> None:
    """What is going to happen, and in which order."""
    tasks, spec = study.tasks(), study.spec
    done = len(study.kept.rows)
    counted = [task.point.name for task in tasks if task.run >= 0]
    runs, warm = amounts.count(spec.runs, "run"), amounts.count(len(tasks) - len(counted), "warm-up")
    lines = [f"{spec.name}: {amounts.count(len(study.points), 'point')}, {runs} each, {warm}"]
    if done:
        lines.append(f"{done} runs are finished already, {len(counted)} are left")
    if counted:
        more = ", ..." if len(counted) > SHOWN_ORDER else ""
        lines.append(f"order (seed {spec.seed}): {'; '.join(counted[:SHOWN_ORDER])}{more}")
    lines += [f"note: {note}" for note in spec.notes]
    console.print("\n".join(lines), markup=False, soft_wrap=not console.is_terminal)


def _interrupted(study: Study, out: Path | None) -> str:
    done, every = len(study.kept.rows), len(study.points) * study.spec.runs
    if out is None:
        return f"interrupted after {done} of {every} runs; with --out DIR the same command would go on"
    return f"interrupted after {done} of {every} runs, kept in {out}; the same command goes on"


def finish(wishes: Wishes, summary: Summary, console: Console) -> None:
    """Say where everything is; the exit code says whether all that should complete did."""
    if wishes.as_json:
        say_json(sys.stdout, summary.model_dump(mode="json"))
    elif wishes.out is not None:
        console.file.write(f"kept in {wishes.out}; open {wishes.out / REPORT}\n")
    if summary.failed():
        raise SystemExit(1)
