"""What the measuring verbs share: their options, and running a study between real processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from migemu.cli.options import CONFIG, LINK, SET, link_settings
from migemu.cli.run import migrate_pair
from migemu.errors import CancelledMigrationError, UsageError
from migemu.lab.runner import Measured, OneByOne
from migemu.lab.study import Spec, Study
from migemu.lab.study_kept import Folder, Memory
from migemu.lab.study_output import REPORT, publish, summarise
from migemu.lab.study_watch import Lines, watching
from migemu.lab.virtual import virtual_runner
from migemu.observe.recorder import make_result, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from migemu.lab.runner import Runner
    from migemu.lab.study import Row, Task
    from migemu.lab.study_scan import Point
    from migemu.lab.study_summary import Summary
    from migemu.scenario import Scenario

F = TypeVar("F", bound="Callable[..., Any]")

VIRTUAL = "in virtual time: the link, the devices and the clock are models"
"""Noted with every figure of a study that was not measured."""
SHOWN_ORDER = 12
"""Runs of the order that are printed ahead; their numbers follow as they end."""

OPTIONS = (
    CONFIG,
    SET,
    LINK,
    click.option(
        "--runs", type=click.IntRange(1, 10_000), default=5, show_default=True, help="Runs of each point."
    ),
    click.option(
        "--warmup",
        type=click.IntRange(0, 100),
        default=1,
        show_default=True,
        help="Runs of each point before, not counted.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
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
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Keep raw figures, JSON, HTML report and charts there; an interrupted study goes on there.",
    ),
    click.option(
        "--virtual", is_flag=True, help="In virtual time: link and clock are models, one run is every run."
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print a line of JSON for each run, the summary last."
    ),
)


def study_options(command: F) -> F:
    """CONFIG, --set, --link, --runs, --warmup, --seed, --dilation, --out and --json."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def settings(overrides: tuple[str, ...], link: str | None, dilation: float | None) -> tuple[str, ...]:
    """--link and --dilation are short for settings; what --set says wins."""
    slower = () if dilation is None else (f"dilation={dilation!r}",)
    return (*link_settings(link), *slower, *overrides)


def notes(scenario: Scenario) -> tuple[str, ...]:
    """What a reader must know before quoting a study's figures."""
    if scenario.dilation == 1:
        return ()
    return (f"ran {scenario.dilation:g} times slower (dilation); all figures are scaled back to full speed",)


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


def measure(
    spec: Spec,
    points: Sequence[Point],
    out: Path | None,
    console: Console,
    *,
    as_json: bool,
    virtual: bool = False,
) -> Summary:
    """Run a study, or what is left of it, and keep what it says.

    Raises:
        CancelledMigrationError: it was interrupted; says how to go on.
    """
    runner: Runner = virtual_runner if virtual else SocketRunner()
    if virtual:
        spec = spec.model_copy(update={"notes": (*spec.notes, VIRTUAL)})
    kept = Memory() if out is None else Folder(prepare(out), spec)
    study = Study(spec, points, kept)
    if not as_json:
        _announce(study, console)
    try:
        if as_json:
            study.run(runner, OneByOne(), JsonLines(sys.stdout))
        else:
            with watching(console, kept.rows) as watcher:
                study.run(runner, OneByOne(), watcher)
    except (CancelledMigrationError, KeyboardInterrupt):
        raise CancelledMigrationError(_interrupted(study, out)) from None
    if isinstance(kept, Folder):
        kept.settle()
        return publish(kept.path)
    return summarise(spec, kept.rows)


def _announce(study: Study, console: Console) -> None:
    """What is going to happen, and in which order."""
    tasks, spec = study.tasks(), study.spec
    done = len(study.kept.rows)
    counted = sum(task.run >= 0 for task in tasks)
    say = console.file.write
    say(f"{spec.name}: {len(study.points)} points, {spec.runs} runs each, {len(tasks) - counted} warm-ups\n")
    if done:
        say(f"{done} runs are finished already, {counted} are left\n")
    names = [task.point.name for task in tasks if task.run >= 0]
    more = ", ..." if len(names) > SHOWN_ORDER else ""
    if names:
        say(f"order (seed {spec.seed}): {'; '.join(names[:SHOWN_ORDER])}{more}\n")
    for note in spec.notes:
        say(f"note: {note}\n")
    console.file.flush()


def _interrupted(study: Study, out: Path | None) -> str:
    done, every = len(study.kept.rows), len(study.points) * study.spec.runs
    if out is None:
        return f"interrupted after {done} of {every} runs; with --out DIR the same command would go on"
    return f"interrupted after {done} of {every} runs, kept in {out}; the same command goes on"


def finish(summary: Summary, out: Path | None, console: Console, *, as_json: bool) -> None:
    """Say where everything is; the exit code says whether all that should complete did."""
    if as_json:
        say_json(sys.stdout, summary.model_dump(mode="json"))
    elif out is not None:
        console.file.write(f"kept in {out}; open {out / REPORT}\n")
    if summary.failed():
        raise SystemExit(1)
