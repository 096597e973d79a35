"""``migemu compare``: the same workload under several hand-off designs, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from migemu.cli.measuring import finish, measure, notes, settings, study_options
from migemu.lab import compare as lab
from migemu.lab.compare_table import LEGEND, print_table, remarks
from migemu.lab.study import ScanRecord, Spec
from migemu.lab.study_scan import parse_scans
from migemu.observe.result import versions
from migemu.scenario import dump_toml, load

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.lab.study_summary import Summary


@click.command()
@study_options
@click.option(
    "--handoffs",
    default=lab.DEFAULT,
    show_default=True,
    metavar="A,B|all",
    help="Designs, the first is what the others are compared with.",
)
@click.option(
    "--scan", "scans", multiple=True, metavar="KEY=V1,V2", help="Vary something else as well; repeatable."
)
def compare(
    config: Path | None,
    overrides: tuple[str, ...],
    link: str | None,
    runs: int,
    warmup: int,
    seed: int,
    dilation: float | None,
    out: Path | None,
    virtual: bool,  # noqa: FBT001  click's
    as_json: bool,  # noqa: FBT001  click's
    handoffs: str,
    scans: tuple[str, ...],
) -> None:
    """Migrate CONFIG under several hand-off designs and compare their downtimes.

    Runs come in rounds of all designs in random order, over real sockets. Besides the keys of --set, --scan
    knows skew=N (the first device has N times the state of the last, the sum stays) and rate_skew=N (it
    takes N times as long to load).
    """
    base = load(config, overrides=settings(overrides, link, dilation))
    fixed = any(word.partition("=")[0].strip() == lab.CONTROLLER for word in (*overrides, *scans))
    grid = lab.grid(base, parse_scans(scans), handoffs, fixed_platform=fixed)
    spec = Spec(
        kind="compare",
        name=base.name,
        scenario=dump_toml(grid.base),
        scans=tuple(ScanRecord(key=scan.key, values=scan.values) for scan in grid.scans),
        skipped=grid.skipped,
        seed=seed,
        runs=runs,
        warmup=warmup,
        notes=(*grid.notes, *notes(base)),
        versions=versions(),
    )
    console = Console(highlight=False)
    summary = measure(spec, grid.points, out, console, as_json=as_json, virtual=virtual)
    if not as_json:
        show(summary, console)
    finish(summary, out, console, as_json=as_json)


def show(summary: Summary, console: Console) -> None:
    """Print the table and what is to be said of it."""
    assert isinstance(summary, lab.Comparison)  # noqa: S101  a comparison's spec makes a comparison
    console.file.write("\n")
    print_table(summary, console)
    wrap = not console.is_terminal
    console.print(f"\n{LEGEND}", style="dim", soft_wrap=wrap)
    for line in remarks(summary):
        console.print(line, style="yellow", markup=False, soft_wrap=wrap)
