"""``migemu compare``: the same workload under several hand-off designs, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from migemu.cli.measuring import Wishes, finish, measure, study_options
from migemu.cli.real import WITH_QEMU, reals
from migemu.lab import compare as lab
from migemu.lab.compare_table import LEGEND, print_table, remarks
from migemu.lab.study_scan import parse_scans

if TYPE_CHECKING:
    from migemu.lab.study_summary import Summary


@click.command(short_help="Compare the downtimes of several hand-off designs.")
@study_options
@click.option(
    "--handoffs",
    metavar="A,B|all",
    help=f"Designs, the first is what the others are compared with.  [default: {lab.DEFAULT}]",
)
@click.option(
    "--scan", "scans", multiple=True, metavar="KEY=V1,V2", help="Vary something else as well; repeatable."
)
@WITH_QEMU
def compare(wishes: Wishes, handoffs: str | None, scans: tuple[str, ...], programs: tuple[str, ...]) -> None:
    """Migrate CONFIG under several hand-off designs and compare their downtimes.

    Runs come in rounds of all designs in random order, over real sockets. Besides the keys of --set, --scan
    knows skew=N (the first device has N times the state of the last, the sum stays) and rate_skew=N (it
    takes N times as long to load).
    """
    beside = reals(programs, wishes)
    fixed = any(word.partition("=")[0].strip() == lab.CONTROLLER for word in (*wishes.overrides, *scans))
    grid = lab.grid(wishes.base(), parse_scans(scans), handoffs, fixed_platform=fixed, reals=beside)
    spec = wishes.spec("compare", grid.base, grid.scans, notes=grid.notes, skipped=grid.skipped)
    spec = spec.model_copy(update={"real": grid.real})
    console = Console(highlight=False)
    summary = measure(wishes, spec, grid.points, console)
    if not wishes.as_json:
        show(summary, console)
    finish(wishes, summary, console)


def show(summary: Summary, console: Console) -> None:
    """Print the table and what is to be said of it."""
    assert isinstance(summary, lab.Comparison)  # noqa: S101  a comparison's spec makes a comparison
    console.file.write("\n")
    print_table(summary, console)
    wrap = not console.is_terminal
    console.print(f"\n{LEGEND}", style="dim", soft_wrap=wrap)
    for deviation in summary.deviations:
        console.print(deviation.line(), markup=False, soft_wrap=wrap)
    for line in remarks(summary):
        console.print(line, style="yellow", markup=False, soft_wrap=wrap)
