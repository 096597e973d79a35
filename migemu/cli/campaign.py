"""``migemu campaign``: explorations and virtual sweeps in shards, here or on many machines."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migemu.cli.options import CONFIG, SET
from migemu.errors import CancelledMigrationError, UsageError
from migemu.lab.campaign import Campaign, Folder, Memory, run_campaign
from migemu.lab.campaign.cluster import Dask
from migemu.lab.campaign.drive import Here
from migemu.lab.campaign.local import Local
from migemu.lab.campaign.plan import read
from migemu.lab.campaign.systems import of_bug, of_scenario
from migemu.lab.campaign.tell import Progress, lines, token
from migemu.lab.explore import Rules
from migemu.lab.explore.shards import STRATEGIES, missing
from migemu.lab.study_scan import parse_scans
from migemu.lab.system_faults import FAULTS
from migemu.scenario import dump_toml, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.lab.campaign.drive import Workers

SPEC = click.argument("spec", type=click.Path(path_type=Path))
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep finished shards there; an interrupted campaign goes on there.",
)
SHARD = click.option(
    "--shard",
    type=click.IntRange(1),
    metavar="N",
    help="Items of a shard.  [default: as many as take 2 to 10 seconds]",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


@click.group()
def campaign() -> None:
    """Explore a million schedules, or sweep in virtual time, in shards that any machine can run."""


@campaign.command(short_help="Print what a campaign does: the SPEC of the others.")
@CONFIG
@SET
@click.option("--bug", metavar="NAME", help="A bug of the catalogue instead of a scenario's destination.")
@click.option("--correct", is_flag=True, help="With --bug: its correct variant.")
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="mixed",
    show_default=True,
    help="How a seed makes a schedule.",
)
@click.option(
    "--depth",
    type=click.IntRange(1, 100),
    metavar="N",
    default=3,
    show_default=True,
    help="Of pct: ordering points.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(tuple(FAULTS)),
    help="A fault that is decided; repeatable.",
)
@click.option(
    "--max-steps",
    type=click.IntRange(1),
    metavar="N",
    default=Rules().max_steps,
    show_default=True,
    help="A longer schedule is cut off.",
)
@click.option(
    "--first", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="The first seed."
)
@click.option(
    "--schedules",
    type=click.IntRange(0),
    metavar="N",
    default=1_000_000,
    show_default=True,
    help="How many seeds.",
)
@click.option(
    "--scan",
    "scans",
    multiple=True,
    metavar="KEY=V1,V2",
    help="Not schedules, but a sweep in virtual time; repeatable.",
)
@click.option(
    "--runs",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="With --scan: of each point.",
)
def plan(
    config: Path | None,
    overrides: tuple[str, ...],
    bug: str | None,
    correct: bool,  # noqa: FBT001  click's
    strategy: str,
    depth: int,
    faults: tuple[str, ...],
    max_steps: int,
    first: int,
    schedules: int,
    scans: tuple[str, ...],
    runs: int,
) -> None:
    """Print what a campaign does, as JSON: the SPEC of the other verbs.

    Of the destination under CONFIG, or of --bug, the schedules of so many seeds; or with --scan a sweep.
    """
    if bug is not None and (scans or config is not None or overrides or faults):
        raise UsageError("--bug has a scenario and rules of its own: leave the others out")
    if correct and bug is None:
        raise UsageError("--correct goes with --bug")
    if bug is not None:
        made = Campaign.exploration(of_bug(bug, strategy, depth, correct=correct), first, schedules)
    elif scans:
        grid = [(scan.key, list(scan.values)) for scan in parse_scans(scans)]
        made = Campaign.sweep(dump_toml(load(config, overrides=overrides)), grid, runs)
    else:
        rules = Rules(faults=frozenset(faults), max_steps=max_steps)
        spec = of_scenario(load(config, overrides=overrides), strategy, depth, rules)
        made = Campaign.exploration(spec, first, schedules)
    click.echo(json.dumps(made.as_dict(), indent=1))


@campaign.command(short_help="Do all of SPEC, or what is left of it.")
@SPEC
@click.option(
    "--executor", type=click.Choice(["local", "dask"]), default="local", show_default=True, help="Who works."
)
@click.option(
    "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: one for each processor]"
)
@click.option("--dask-scheduler", metavar="URL", help="tcp://host:8786; without it Dask is embedded.")
@SHARD
@OUT
@JSON
def run(
    spec: Path,
    executor: str,
    jobs: int | None,
    dask_scheduler: str | None,
    shard: int | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Do all of SPEC, or what is left of it; exit 1 if a schedule or a run fails."""
    if dask_scheduler is not None and executor != "dask":
        raise UsageError("--dask-scheduler goes with --executor dask")
    asked = read(spec)
    kept = Memory(asked) if out is None else Folder(out, asked)
    with workers_of(executor, jobs or _processors(), dask_scheduler) as workers:
        report = drive(asked, workers, kept, shard)
    kept.settle()
    tell(asked, report, as_json=as_json)
    raise SystemExit(_code(asked, report))


@campaign.command("shard")
@SPEC
@click.option(
    "--index",
    type=click.IntRange(0),
    envvar="JOB_COMPLETION_INDEX",
    required=True,
    show_envvar=True,
    metavar="I",
    help="Which part, from 0.",
)
@click.option("--of", type=click.IntRange(1), required=True, metavar="N", help="How many parts.")
@SHARD
@OUT
@JSON
def one_shard(
    spec: Path,
    index: int,
    of: int,
    shard: int | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Do part I of N of SPEC, in this process.

    Exits with 0 also where schedules fail: the part is done then, and doing it again would change nothing.
    """
    whole = read(spec)
    part = whole.share(index, of)
    kept = Memory(whole) if out is None else Folder(out, whole, part)
    report = drive(part, Here(), kept, shard)
    tell(part, report, as_json=as_json)


@campaign.command(short_help="Put all parts in FOLDER together.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@JSON
def merge(folder: Path, as_json: bool) -> None:  # noqa: FBT001  click's
    """Put all parts in FOLDER together; exit 1 if one is missing, or a schedule or a run fails."""
    asked = read(folder / "campaign.json")
    kept = Folder(folder, asked)
    kept.settle()
    tell(asked, kept.report, as_json=as_json)
    raise SystemExit(_code(asked, kept.report))


@contextmanager
def workers_of(executor: str, jobs: int, scheduler: str | None) -> Iterator[Workers]:
    """Whoever does the work.

    Raises:
        UsageError: Dask is not installed, or nobody answers at `scheduler`.
    """
    if executor == "dask":
        with Dask(jobs, scheduler, _say) as dask:
            yield dask
    else:
        yield Local(jobs, _say) if jobs > 1 else Here()


def drive(asked: Campaign, workers: Workers, kept: Memory, shard: int | None) -> dict[str, Any]:
    """Do what is left; Ctrl-C ends it at once, and what is finished is kept.

    Raises:
        CancelledMigrationError: it was interrupted; says how to go on.
    """
    try:
        return run_campaign(asked, workers, kept, shard=shard, progress=Progress(asked, _say))
    except KeyboardInterrupt:
        left = sum(count for _, count in missing(kept.report, asked.first, asked.count))
        how = "the same command goes on" if isinstance(kept, Folder) else "--out DIR would keep what is done"
        raise CancelledMigrationError(f"interrupted with {left:,} of {asked.count:,} left; {how}") from None


def tell(asked: Campaign, report: dict[str, Any], *, as_json: bool) -> None:
    """Print what came of it."""
    if as_json:
        click.echo(json.dumps({**report, "token": token(asked, report)}))
        return
    for line in lines(asked, report):
        click.echo(line)


def _say(line: str) -> None:
    click.echo(line, err=True)
    sys.stderr.flush()


def _code(asked: Campaign, report: dict[str, Any]) -> int:
    return int(bool(report["failures"] or missing(report, asked.first, asked.count)))


def _processors() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0))
