"""``migemu bugs``: the catalogue of ordering bugs: list, story, and each of them found from a cold start."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from migemu.cli.bugs_table import table
from migemu.errors import ScheduleError, UsageError
from migemu.lab import bugs as catalogue
from migemu.lab.bugs.hunting import find, vindicate
from migemu.lab.explore.narrate import narrate
from migemu.lab.telling import as_dict, lines

if TYPE_CHECKING:
    from migemu.lab.bugs import Bug
    from migemu.lab.bugs.hunting import Found, Vindication

NAME = click.argument("name")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@JSON
@click.pass_context
def bugs(ctx: click.Context, as_json: bool) -> None:  # noqa: FBT001  click's
    """List the ordering bugs that this program can show; `show` tells one, `reproduce` finds it."""
    if ctx.invoked_subcommand is not None:
        return
    entries = catalogue.catalogue()
    if as_json:
        click.echo(json.dumps({"schema": 1, "bugs": [_row(bug) for bug in entries]}))
        return
    name = max(len(bug.name) for bug in entries)
    breaks = max(len(bug.breaks) for bug in entries)
    for bug in entries:
        row = _row(bug)
        mark = "real" if row["real"] else ""
        click.echo(f"{bug.name:<{name}}  {mark:4}  {bug.breaks:<{breaks}}  {row['mark']}{bug.title}")
    click.echo("\nreal: also on real sockets; (h): a hypothesis from reading QEMU's source")


bugs.add_command(table)


def _row(bug: Bug) -> dict[str, Any]:
    mark = "(h) " if bug.hypothesis else ""
    return {
        "name": bug.name,
        "title": bug.title,
        "breaks": bug.breaks,
        "real": bug.real is not None,
        "hypothesis": bug.hypothesis,
        "mark": mark,
    }


def _heading(bug: Bug) -> str:
    return f"{bug.name}: {bug.title}{' (a hypothesis from reading the source)' if bug.hypothesis else ''}"


@bugs.command(short_help="Tell the story of bug NAME.")
@NAME
@JSON
def show(name: str, as_json: bool) -> None:  # noqa: FBT001  click's
    """Tell the story of bug NAME: how it comes about, where it happened, what mended it."""
    bug = catalogue.get(name)
    told = {
        "mechanism": bug.story.mechanism,
        "where it happened": bug.story.happened,
        "fix": bug.story.fix,
        "versions": bug.story.versions,
        "evidence": bug.story.evidence,
        "links": "; ".join(bug.story.links) or "none",
        "the broken variant": bug.changed,
        "breaks": bug.breaks,
        "the correct variant": bug.instead,
        "budget": f"{bug.hunt.schedules} schedules, {bug.hunt.seconds:g} s of one core",
        "on real sockets": "migemu bugs reproduce --real" if bug.real else "not tried",
        "in a real QEMU": _in_qemu(bug),
    }
    told = {heading: " ".join(text.split()) for heading, text in told.items()}
    if as_json:
        click.echo(json.dumps({"schema": 1, "name": bug.name, "title": bug.title} | told))
        return
    click.echo(_heading(bug))
    for heading, text in told.items():
        click.echo(f"\n{heading}")
        click.echo(textwrap.fill(text, 98, initial_indent="  ", subsequent_indent="  "))


def _in_qemu(bug: Bug) -> str:
    from migemu.lab.bugs.against_qemu import told  # noqa: PLC0415  brings the whole hostile-order table along

    return told(bug.name)


@bugs.command(short_help="Find bug NAME, or all of them, from a cold start.")
@NAME
@click.option("--real", is_flag=True, help="Drive two real processes over real sockets into it instead.")
@click.option("--qemu", metavar="PATH", help="Play its schedule to that real QEMU, and say what it does.")
@click.option(
    "--times",
    type=click.IntRange(1),
    metavar="N",
    help="How often with --real [default: 20], --qemu [default: 1].",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Where the search begins.",
)
@JSON
def reproduce(
    name: str,
    real: bool,  # noqa: FBT001  click's
    qemu: str | None,
    times: int | None,
    seed: int,
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Find bug NAME (or all of them) from a cold start, then see that the correct variant does not have it.

    The broken variant is explored until its invariant breaks and the schedule is shrunk; the correct variant
    is run under that schedule and under as many of its own as the budget allows. Exit code 1: it was not
    found, or the correct variant broke.
    """
    if times is not None and not real and qemu is None:
        raise UsageError("--times goes with --real or --qemu: a search is the same every time")
    if qemu is not None:
        _against_qemu(name, qemu, times or 1, as_json=as_json)
        return
    entries = catalogue.catalogue() if name == "all" else [catalogue.get(name)]
    if real:
        entries = [bug for bug in entries if bug.real is not None or name != "all"]
    results = [
        _real(bug, times or 20, as_json=as_json) if real else _reproduce(bug, seed, as_json=as_json)
        for bug in entries
    ]
    if not all(results):
        raise SystemExit(1)


def _reproduce(bug: Bug, seed: int, *, as_json: bool) -> bool:
    try:
        found = find(bug, seed)
    except ScheduleError as error:
        click.echo(json.dumps({"schema": 1, "bug": bug.name, "error": error.message}) if as_json else error)
        return False
    vindication = vindicate(found)
    if as_json:
        click.echo(json.dumps(_as_dict(found, vindication)))
    else:
        _tell(found, vindication)
    return vindication.passes


def _tell(found: Found, vindication: Vindication) -> None:
    bug, outcome = found.bug, found.outcome
    click.echo(_heading(bug))
    click.echo(f"broken variant: {' '.join(bug.changed.split())}")
    budget = f"budget {bug.hunt.schedules:,} schedules, {bug.hunt.seconds:g} s"
    click.echo(
        f"found by schedule {outcome.schedules:,} ({outcome.found_by}) in {outcome.seconds:.1f} s; {budget}"
    )
    told = narrate(found.runner, found.shrunk.decisions)
    for line in lines(told, found.report.token, "migemu replay", found.report.shrunk):
        click.echo(line)
    click.echo(f"correct variant: {' '.join(bug.instead.split())}")
    same = vindication.same_schedule
    click.echo(f"  under that schedule it {'passes' if same is None else f'breaks: {same.error}'}")
    click.echo(f"  over its own: {_verdict(vindication)}")
    click.echo("")


def _verdict(vindication: Vindication) -> str:
    search = vindication.search
    return f"{search.verdict}, {'no violation' if search.failure is None else 'a violation'}"


def _as_dict(found: Found, vindication: Vindication) -> dict[str, Any]:
    told = narrate(found.runner, found.shrunk.decisions)
    return {
        "schema": 1,
        "bug": found.bug.name,
        "schedules": found.outcome.schedules,
        "seconds": found.outcome.seconds,
        "found_by": found.outcome.found_by,
        "deviations": found.shrunk.deviations,
        "token": found.report.token,
        "correct": {
            "passes": vindication.passes,
            "schedules": vindication.search.schedules,
            "exhausted": vindication.search.exhausted,
        },
    } | as_dict(told)


def _against_qemu(name: str, program: str, times: int, *, as_json: bool) -> None:
    from migemu.cli.bugs_qemu import reproduce_on_qemu  # noqa: PLC0415  starts QEMUs, which a search does not

    reproduce_on_qemu(name, program, times, as_json=as_json)


def _real(bug: Bug, times: int, *, as_json: bool) -> bool:
    from migemu.cli.bugs_real import reproduce_real  # noqa: PLC0415  starts processes, which a search does not

    return reproduce_real(bug, times or 20, as_json=as_json)
