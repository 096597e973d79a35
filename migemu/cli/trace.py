"""``migemu trace``: a run's events as a Perfetto trace."""

from __future__ import annotations

from pathlib import Path

import click

from migemu.errors import UsageError
from migemu.lab.study_kept import STUDY, TYPICAL
from migemu.observe import amounts, events
from migemu.observe.recorder import EVENTS
from migemu.observe.trace import write_trace

TRACE = "trace.perfetto-trace"


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help=f"Where to; default: DIR/{TRACE}."
)
def trace(folder: Path, out: Path | None) -> None:
    """Write the run that was kept in DIR as a trace for https://ui.perfetto.dev, which uploads nothing.

    One track for each channel, device and thread, both sides on one clock, arrows from sending to
    receiving to loading to config.
    """
    if not (folder / EVENTS).exists() and (folder / STUDY).exists():
        raise UsageError(f"{folder} holds a study of many runs; {_typical_runs(folder)}")
    target = out or folder / TRACE
    told = events.read(folder / EVENTS, torn=True)
    try:
        pieces = write_trace(told, target)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    click.echo(f"{target}: {amounts.count(pieces, 'piece')}, open it in https://ui.perfetto.dev")


def _typical_runs(folder: Path) -> str:
    kept = sorted(path for path in (folder / TYPICAL).glob("*") if (path / EVENTS).exists())
    return f"trace one of its typical runs, for example {kept[0]}" if kept else "no typical run was kept"
