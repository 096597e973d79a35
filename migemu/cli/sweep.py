"""``migemu sweep``: load-test channel counts, or any other settings, over a grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from migemu.cli.measuring import Wishes, finish, measure, study_options
from migemu.handoff.choice import choose
from migemu.lab import sweep as lab
from migemu.lab import sweep_baseline
from migemu.lab.study_output import keep_baseline, publish
from migemu.lab.study_scan import grid, parse_scans
from migemu.lab.sweep_table import judgement_lines, print_table

if TYPE_CHECKING:
    from migemu.lab.study_summary import Summary
    from migemu.lab.sweep_baseline import Baseline


@click.command(short_help="Migrate over a grid of settings; how many channels?")
@study_options
@click.option(
    "--scan",
    "scans",
    multiple=True,
    metavar="KEY=V1,V2",
    help=f"What to vary; several make a grid.  [default: {lab.DEFAULT_SCAN}]",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="An earlier sweep.json, or its folder; exit 1 where this sweep is worse.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1000),
    default=5.0,
    show_default=True,
    metavar="PERCENT",
    help="How much worse than the baseline counts as noise, beyond what the runs spread.",
)
def sweep(wishes: Wishes, scans: tuple[str, ...], baseline: Path | None, tolerance: float) -> None:
    """Migrate CONFIG over a grid of settings, several times each, in random order.

    Names the knee: the smallest channel count that is as good as the best. With --out an interrupted sweep
    goes on when the same command is given again.
    """
    base = wishes.base()
    varied = parse_scans(scans or (lab.DEFAULT_SCAN,))
    points = grid(base, varied)
    for point in points:
        choose(point.scenario)  # a hand-off that its machine or platform refuses, before anything is run
    spec = wishes.spec("sweep", base, varied)
    earlier = None if baseline is None else sweep_baseline.read(baseline)
    if earlier is not None:
        sweep_baseline.check_alike(earlier, spec.scenario)
    console = Console(highlight=False)
    summary = measure(wishes, spec, points, console)
    if not wishes.as_json:
        show(summary, console)
    if earlier is not None and baseline is not None:
        held = sweep_baseline.judge(_sweep(summary), earlier, baseline, tolerance / 100)
        hold(held, wishes, console)
    finish(wishes, summary, console)


def _sweep(summary: Summary) -> lab.Sweep:
    assert isinstance(summary, lab.Sweep)  # noqa: S101  a sweep's spec makes a sweep
    return summary


def show(summary: Summary, console: Console) -> None:
    """Print the table and the knees."""
    console.file.write("\n")
    print_table(_sweep(summary), console)


def hold(held: Baseline, wishes: Wishes, console: Console) -> None:
    """Say what is worse, and end with 1 if anything is."""
    if wishes.out is not None:
        keep_baseline(wishes.out, held)
        publish(wishes.out)
    if not wishes.as_json:
        for line in judgement_lines(held):
            style = "red" if line.startswith("worse") else ""
            console.print(line, markup=False, style=style, soft_wrap=not console.is_terminal)
    if held.worse():
        raise SystemExit(1)
