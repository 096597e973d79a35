"""``migemu join``: what two sides kept apart, in two containers or on two machines, put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from migemu.errors import MigemuError, UsageError
from migemu.observe import events
from migemu.observe.join import clock, join
from migemu.observe.recorder import CONFIG, EVENTS, RESULT, make_result, prepare, save
from migemu.observe.result import RunEnd
from migemu.observe.summary import print_summary
from migemu.scenario import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.observe.events import Event
    from migemu.scenario import Side

FOLDER = click.Path(path_type=Path)


@click.command("join")
@click.argument("source", type=FOLDER)
@click.argument("destination", type=FOLDER)
@click.option("--out", type=FOLDER, metavar="DIR", help="Keep the joined result, events and scenario there.")
def join_sides(source: Path, destination: Path, out: Path | None) -> None:
    """Make one result of the folders SOURCE and DESTINATION that the two sides kept with --out.

    The clocks are put together by what the source measured. The exit code is the migration's.
    """
    told = [_one_side(source, "source"), _one_side(destination, "destination")]
    _check_one_migration(*told)
    joined = join(*told)
    exits = {"source": _exit_code(source), "destination": _exit_code(destination)}
    # The files of a scenario may lie on the other machine: only the side itself can look for them.
    scenario = load(source / CONFIG, environ={}, side="destination")
    end = RunEnd(exit_code=max(exits.values()), exits=exits)
    outcome = make_result(scenario, joined, end)
    if out is not None:
        save(prepare(out), scenario, joined, outcome)
    print_summary(outcome, Console(highlight=False))
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)


def _one_side(folder: Path, side: Side) -> list[Event]:
    """What a side kept.

    Raises:
        UsageError: it cannot be read, or it is another side's, or of both.
    """
    told = events.read(folder / EVENTS, torn=True)
    sides = {event.side for event in told}
    if sides - {side}:
        found = "the other side" if len(sides) == 1 else "both sides, joined already"
        raise UsageError(f"{folder} is not what migemu {side} --out kept: its events are of {found}")
    return told


def _exit_code(folder: Path) -> int:
    try:
        code = json.loads((folder / RESULT).read_text(encoding="utf-8"))["exit_code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder / RESULT} cannot be read: {error!r}") from None
    return int(code)


def _check_one_migration(source: Sequence[Event], destination: Sequence[Event]) -> None:
    """Two sides of one migration are at work at the same time, on the source's clock."""
    measured = clock(source)
    if not (measured.measured and source and destination):
        return
    first, last = (destination[index].t - measured.offset for index in (0, -1))
    if last < source[0].t or first > source[-1].t:
        raise MigemuError("these are the sides of two different migrations: never at work at the same time")
