"""``migemu explore``: the destination's own code under every order, or as many as the budget allows."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migemu.cli.interrupted import EXIT_CODE, Interrupted
from migemu.cli.options import CONFIG, SET
from migemu.errors import UsageError
from migemu.lab.budget import SHORT, parse_budget
from migemu.lab.explore import Rules
from migemu.lab.explored import SIDES, destination, source
from migemu.lab.explored_task import STRATEGIES, Task
from migemu.lab.stock import stock
from migemu.lab.system_faults import FAULTS
from migemu.lab.telling import as_dict, lines
from migemu.observe.amounts import count
from migemu.scenario import load

if TYPE_CHECKING:
    from migemu.lab.explore import Outcome


@click.command()
@CONFIG
@SET
@click.option(
    "--side", type=click.Choice(tuple(SIDES)), default="destination", show_default=True, help="Whose orders."
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="portfolio",
    show_default=True,
    help="How the next schedule is chosen; docs/exploring.md compares them.",
)
@click.option(
    "--budget",
    default=SHORT,
    show_default=True,
    metavar="BUDGET",
    help='Schedules, time, or both: "20000, 60 s".',
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    metavar="N",
    default=1,
    show_default=True,
    help="So many processes search.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Of the random strategies.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(tuple(FAULTS)),
    help="What may go wrong, as a decision; repeatable.",
)
@click.option(
    "--faults",
    "fault_budget",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="At most so many in one schedule.",
)
@click.option("--closing", is_flag=True, help="Channels close behind their last packet, at any moment.")
@click.option("--coarse", is_flag=True, help="All that follows SWITCHOVER_START comes in one read.")
@click.option("--fine", is_flag=True, help="The main channel may stall between any two sections.")
@click.option(
    "--frontier",
    "frontier_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="dfs: where the search stands is kept there at a bound, and taken up from there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
def explore(
    config: Path | None,
    overrides: tuple[str, ...],
    side: str,
    strategy: str,
    budget: str,
    jobs: int,
    seed: int,
    faults: tuple[str, ...],
    fault_budget: int,
    closing: bool,  # noqa: FBT001  click's
    coarse: bool,  # noqa: FBT001  click's
    fine: bool,  # noqa: FBT001  click's
    frontier_file: Path | None,
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Try the orders of one side of CONFIG (or of a small stock scenario) until one breaks an invariant.

    A destination's own incoming thread, hand-off, reassembly, load threads and cleanup run on controlled
    threads, fed by the packets and marks that CONFIG's source would send; of a source, its save threads,
    its channel hand-over and its sockets. Nothing is moved: sizes only say how many packets there are. What
    is found is shrunk and printed with the token that replays it; the exit code is 1 then. Ctrl-C ends the
    search as a bound does, with exit code 130.
    """
    scenario = stock(*overrides) if config is None else load(config, overrides=overrides)
    _check_side(side, faults, fed=closing or coarse or fine)
    words = {"closing": closing, "coarse": coarse, "fine": fine}
    subject = source(scenario) if side == "source" else destination(scenario, **words)
    rules = Rules(faults=frozenset(faults), fault_budget=fault_budget)
    with Interrupted() as stopped:
        bound = replace(parse_budget(budget), stopped=stopped)
        task = Task(subject, rules, strategy, bound, seed, jobs, frontier_file, _progress)
        task.check()
        outcome = task.run()
    _wipe_progress()
    if as_json:
        _tell_json(task, outcome)
    else:
        _tell(task, outcome, _command(config, overrides))
    if outcome.failure is not None:
        raise SystemExit(1)
    if stopped():
        raise SystemExit(EXIT_CODE)


def _check_side(side: str, faults: tuple[str, ...], *, fed: bool) -> None:
    if unknown := sorted(set(faults) - set(SIDES[side])):
        raise UsageError(f"--fault {unknown[0]}: does not happen on the {side}'s side of an exploration")
    if side == "source" and fed:
        raise UsageError("--closing, --coarse and --fine say what a destination is sent")


def _progress(outcome: Outcome) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{outcome.schedules:,} schedules, {outcome.seconds:.0f} s ", err=True, nl=False)


def _wipe_progress() -> None:
    """What is said at the end begins at the left of an empty line."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)


def _tell(task: Task, outcome: Outcome, command: str) -> None:
    click.echo(_what(task))
    click.echo(_count(outcome))
    if outcome.failure is None:
        click.echo(outcome.verdict)
        return
    found = task.finding(outcome.failure)
    click.echo(f"schedule {outcome.schedules:,} fails ({outcome.found_by})")
    for line in lines(found.told, found.report.token, command, found.report.shrunk):
        click.echo(line)


def _what(task: Task) -> str:
    scenario = task.subject.scenario
    devices, channels = len(scenario.device), scenario.migration.channels
    faults = f", faults: {', '.join(sorted(task.rules.faults))}" if task.rules.faults else ""
    design = task.subject.handoff.design.name
    shape = f"{design}, {count(devices, 'device')}, {count(channels, 'multifd channel')}"
    return f"{scenario.name}{_side(task)}: {shape}; {task.strategy}{faults}"


def _side(task: Task) -> str:
    return f", {task.subject.name}" if task.subject.name else ""


def _count(outcome: Outcome) -> str:
    rate = outcome.schedules / outcome.seconds if outcome.seconds else 0
    pruned = f", {outcome.pruned:,} given up as repeats" if outcome.pruned else ""
    return f"{outcome.schedules:,} schedules in {outcome.seconds:.1f} s ({rate:,.0f}/s){pruned}"


def _command(config: Path | None, overrides: tuple[str, ...]) -> str:
    """What repeats a schedule, but for the token; whatever is not the stock scenario has to be named."""
    named = [] if config is None else ["--scenario", str(config)]
    settings = [part for override in overrides for part in ("--set", override)]
    return shlex.join(["migemu", "replay", *named, *settings])


def _tell_json(task: Task, outcome: Outcome) -> None:
    told: dict[str, Any] = {
        "schema": 1,
        "strategy": task.strategy,
        "verdict": outcome.verdict,
        "exhausted": outcome.exhausted,
        "schedules": outcome.schedules,
        "pruned": outcome.pruned,
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "failure": None,
    }
    if outcome.failure is not None:
        found = task.finding(outcome.failure)
        told["failure"] = as_dict(found.told) | {
            "token": found.report.token,
            "deviations": found.shrunk.deviations,
            "found_by": outcome.found_by,
        }
    click.echo(json.dumps(told))
