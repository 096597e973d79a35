"""``migemu run``: source and destination as two processes, on loopback or in a place, watched as one."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
from rich.console import Console

from migemu.cli.captures import RECORD
from migemu.cli.options import LINK, link_settings, read_scenario, scenario_options
from migemu.cli.pair import Pair
from migemu.cli.pingpong import PING_PONG, ping_pong
from migemu.cli.place import placed
from migemu.errors import UsageError
from migemu.observe.join import join
from migemu.observe.live import json_lines, live_view
from migemu.observe.recorder import make_result, prepare, save
from migemu.observe.summary import print_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.observe.result import RunEnd
    from migemu.scenario import Scenario


@click.command(short_help="Migrate between two processes.")
@scenario_options
@LINK
@click.option(
    "--virtual", is_flag=True, help="In virtual time: both sides in one process, link and clock modelled."
)
@RECORD
@PING_PONG
def run(
    config: Path | None,
    overrides: tuple[str, ...],
    link: str | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001  click's
    virtual: bool,  # noqa: FBT001  click's
    record: Path | None,
    rounds: int | None,
) -> None:
    """Migrate CONFIG (or the built-in default) between two processes on this machine."""
    scenario = read_scenario(config, (*link_settings(link), *overrides))
    if rounds is not None:
        if virtual or record is not None or out is not None:
            raise UsageError("--ping-pong keeps nothing: leave out --virtual, --record and --out")
        ping_pong(scenario, rounds)
        return
    if virtual:
        check_modelled(scenario, record)
    if record is not None:
        prepare(record)
    folder = prepare(out) if out is not None else None
    if virtual:
        told, outcome = run_modelled(scenario, as_json=as_json)
    else:
        told, outcome = run_watched(scenario, as_json=as_json, record=record)
    if not as_json:
        print_summary(outcome, Console(highlight=False))
    if folder is not None:  # after the summary: a full disk takes the files, not the figures
        save(folder, scenario, told, outcome)
        if not as_json:
            click.echo(f"kept in {folder}")
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)


def check_modelled(scenario: Scenario, record: Path | None) -> None:
    """In virtual time nothing goes over a wire.

    Raises:
        UsageError: there is something to be done on one.
    """
    if scenario.order or record is not None:
        what = "order rules act" if scenario.order else "--record looks"
        raise UsageError(f"{what} on real connections, and --virtual has none")


def run_watched(
    scenario: Scenario, *, as_json: bool, record: Path | None = None
) -> tuple[Sequence[Event], Result]:
    """Run while events are shown; keep what went over the wire in `record`."""
    if as_json:
        return run_pair(scenario, json_lines(sys.stdout), record)
    with live_view(Console(highlight=False), scenario.name) as view:
        return run_pair(scenario, view, record)


def run_modelled(scenario: Scenario, *, as_json: bool) -> tuple[Sequence[Event], Result]:
    """Run in virtual time; its events are told when it is over, which is soon."""
    from migemu.lab.virtual import run_virtual  # noqa: PLC0415  greenlets are for those who ask for them

    measured = run_virtual(scenario)
    if as_json:
        for event in measured.events:
            click.echo(event.encode())
    return measured.events, measured.result


def run_pair(
    scenario: Scenario, subscriber: Callable[[Event], None], record: Path | None = None
) -> tuple[Sequence[Event], Result]:
    """One migration between two processes: both sides' events, and the result they make.

    Raises:
        UsageError: a process refused what it was asked: there is nothing to sum up.
    """
    told = migrate_pair(scenario, subscriber, record)
    if told.end.exit_code == UsageError.exit_code and not told.events:
        raise UsageError("\n".join(told.end.reasons))
    return told.events, make_result(scenario, told.events, told.end)


class Told(NamedTuple):
    """What two processes left behind."""

    events: list[Event]
    """Of both sides, joined."""
    end: RunEnd
    interrupted: bool
    """A person ended it: what was measured says nothing."""


def migrate_pair(scenario: Scenario, subscriber: Callable[[Event], None], record: Path | None = None) -> Told:
    """One migration between two processes; nothing is kept, but for a recording where one is asked for."""
    with tempfile.TemporaryDirectory(prefix="migemu-") as scratch, placed() as place:
        pair = Pair(scenario, Path(scratch), subscriber, place, record)
        end = asyncio.run(pair.run())
        joined = join(pair.events("source"), pair.events("destination"))
    return Told(joined, end, pair.interrupted)
