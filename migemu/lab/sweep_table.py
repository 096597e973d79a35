"""A sweep as a table, the same for terminal and page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from migemu.lab.compare_table import verdict
from migemu.lab.study_page import axis_of, line_name
from migemu.observe import amounts

if TYPE_CHECKING:
    from migemu.lab.study_summary import PointSummary
    from migemu.lab.sweep import Sweep
    from migemu.lab.sweep_baseline import Baseline, Judgement

MIB = 2**20

Cell = Callable[["PointSummary"], str]


class Column(NamedTuple):
    """One column."""

    head: str
    cell: Cell
    words: bool = False


def _ms(point: PointSummary) -> str:
    return amounts.ms(point.median("downtime"))


def _interval(point: PointSummary) -> str:
    spread = point.spread("downtime")
    return amounts.UNKNOWN if spread is None else f"{amounts.ms(spread.low)}..{amounts.ms(spread.high)}"


def _rate(figure: str) -> Cell:
    return lambda point: _scaled(point, figure, 1 / MIB, ".0f")


def _rate_interval(figure: str) -> Cell:
    def cell(point: PointSummary) -> str:
        spread = point.spread(figure)
        return amounts.UNKNOWN if spread is None else f"{spread.low / MIB:.0f}..{spread.high / MIB:.0f}"

    return cell


def _cores(side: str) -> Cell:
    return lambda point: _scaled(point, f"cpu_{side}", 1, ".2f")


def _shares(point: PointSummary) -> str:
    least, most = point.median("share_least"), point.median("share_most")
    return amounts.UNKNOWN if least is None or most is None else f"{least:.2f}..{most:.2f}"


def _scaled(point: PointSummary, figure: str, scale: float, form: str) -> str:
    value = point.median(figure)
    return amounts.UNKNOWN if value is None else f"{value * scale:{form}}"


def columns(sweep: Sweep) -> list[Column]:
    """What the table shows."""
    return [
        *(_setting(scan.key) for scan in sweep.spec.scans),
        Column("downtime", _ms),
        Column("95 %", _interval),
        Column("state", _rate("device_rate")),
        Column("95 %", _rate_interval("device_rate")),
        Column("RAM", _rate("ram_rate")),
        Column("CPU src", _cores("source")),
        Column("CPU dst", _cores("destination")),
        Column("queue", lambda point: _scaled(point, "queue_peak", 1 / MIB, ".1f")),
        Column("shares", _shares),
        Column("", verdict, words=True),
    ]


LEGEND = (
    "Medians of each point's runs, 95 % intervals. downtime: ms; state: device data while the VM is stopped, "
    "MiB/s; RAM: before that, MiB/s; CPU: cores over the migration; queue: most MiB that waited for their "
    "load threads; shares: bytes of the least and the most loaded channel, a fair share being 1."
)


def _setting(key: str) -> Column:
    return Column(key, lambda point: point.settings[key], words=True)


def print_table(sweep: Sweep, console: Console) -> None:
    """Print the table, the knees below it."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    shown = columns(sweep)
    for column in shown:
        table.add_column(column.head, justify="left" if column.words else "right")
    for point in by_line(sweep):
        style = "" if point.verdict == "completed" else "red"
        table.add_row(*(Text(column.cell(point), style) for column in shown))
    width = console.width if console.is_terminal else 10_000
    Console(file=console.file, width=width, highlight=False, no_color=console.no_color).print(table)
    wrap = not console.is_terminal
    console.print(f"\n{LEGEND}", style="dim", soft_wrap=wrap)
    for line in (*failures(sweep), *(knee.text() for knee in sweep.knees)):
        console.print(line, markup=False, soft_wrap=wrap)


def by_line(sweep: Sweep) -> list[PointSummary]:
    """The points with those of one curve below each other."""
    axis = axis_of(sweep)
    lines = list(dict.fromkeys(line_name(point, axis.key) for point in sweep.points)) if axis else []
    return sorted(sweep.points, key=lambda p: lines.index(line_name(p, axis.key)) if axis else 0)


def failures(sweep: Sweep) -> list[str]:
    """A line for each point whose runs did not all complete."""
    return [f"{point.point}: {verdict(point)}: {point.reason}" for point in sweep.points if point.reason]


def _ratio(one: Judgement) -> str:
    if one.ratio is None:
        return ", it failed"
    return f", new / old {one.ratio:.2f} [{one.low:.2f}, {one.high:.2f}]"


def judgement_lines(baseline: Baseline) -> list[str]:
    """What the comparison with an earlier sweep says: regressions, gains, and how much was judged."""
    told = [
        f"{one.verdict}: {one.label} at {one.point}{_ratio(one)}"
        for one in baseline.judgements
        if one.verdict in ("worse", "better")
    ]
    judged = [one for one in baseline.judgements if one.verdict != "not judged"]
    told.append(f"baseline {baseline.file}: {len(judged)} figures judged, {len(baseline.worse())} worse")
    if baseline.unmatched:
        told.append(f"only in one of the two sweeps: {'; '.join(baseline.unmatched)}")
    return [*told, f"rule: {baseline.rule}"]
