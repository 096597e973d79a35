"""``migemu report``: the page of a run, a comparison or a sweep, made anew from what was kept."""

from __future__ import annotations

from pathlib import Path

import click

from migemu.errors import UsageError
from migemu.lab.study_kept import STUDY
from migemu.lab.study_output import REPORT, publish
from migemu.observe import events, result
from migemu.observe.recorder import EVENTS, PACKETS, RESULT
from migemu.observe.report import write_report


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def report(folder: Path) -> None:
    """Write DIR/report.html from what run, compare or sweep kept in DIR with --out.

    Of a comparison or a sweep its JSON and its charts are written anew as well.
    """
    if (folder / STUDY).exists():
        publish(folder)
    elif (folder / RESULT).exists():
        told = result.load(folder / RESULT)
        write_report(told, kept_events(folder), folder / REPORT, kept_packets(folder))
    else:
        raise UsageError(f"{folder} holds nothing to report: neither {RESULT} nor {STUDY}")
    click.echo(f"{folder / REPORT}: written")


def kept_packets(folder: Path) -> str:
    """The device packets that a tap saw, a line each."""
    path = folder / PACKETS
    return path.read_text(encoding="utf-8") if path.exists() else ""


def kept_events(folder: Path) -> list[events.Event]:
    """The run's events; without them a page has no timelines."""
    return events.read(folder / EVENTS, torn=True) if (folder / EVENTS).exists() else []
