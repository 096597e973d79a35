"""A comparison as one table: a row for each point and design, the same for terminal and page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from migemu.lab.compare import KEY
from migemu.lab.study_figures import BQL
from migemu.observe import amounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.compare import Comparison
    from migemu.lab.study_summary import PointSummary

Cell = Callable[["PointSummary"], str]


class Column(NamedTuple):
    """One column."""

    group: str
    """Columns of one group stay together when a terminal is too narrow for all."""
    head: str
    cell: Cell
    words: bool = False
    """Text and not a figure."""


def _figure(name: str) -> Cell:
    return lambda point: amounts.ms(point.median(name))


def _holder(kind: str) -> str:
    return f"BQL: {kind.removesuffix(' threads')}"


def _interval(point: PointSummary) -> str:
    spread = point.spread("downtime")
    return amounts.UNKNOWN if spread is None else f"{amounts.ms(spread.low)}..{amounts.ms(spread.high)}"


def _p95(point: PointSummary) -> str:
    spread = point.spread("downtime")
    return amounts.ms(None if spread is None else spread.p95)


def _ratio(point: PointSummary) -> str:
    return amounts.UNKNOWN if point.ratio is None else f"{point.ratio.median:.2f}"


def verdict(point: PointSummary) -> str:
    """How the point's runs ended, in two or three words."""
    if point.verdict == "completed":
        return ""
    if point.verdict == "not run":
        return "not run"
    failed = f"{len(point.raw) - point.completed} of {len(point.raw)} failed"
    return f"{failed}, by nature" if point.verdict == "by nature" else f"{failed.upper()}"


def columns(comparison: Comparison) -> list[Column]:
    """What the table shows; all times are ms."""
    return [
        *_settings(comparison),
        Column("design", "design", lambda point: _design(comparison, point), words=True),
        *_verdicts(comparison),
        Column("downtime", "downtime", _figure("downtime")),
        Column("downtime", "95 %", _interval),
        Column("downtime", "p95", _p95),
        Column("downtime", "ratio", _ratio),
        Column("parts", "transfer", _figure("transfer")),
        Column("parts", "wait", _figure("wait")),
        Column("parts", "load", _figure("load")),
        Column("parts", "ready", _figure("ready_wait")),
        Column("parts", "config", _figure("config_load")),
        *(
            Column("bql", f"BQL: {kind.removesuffix(' threads')}", _figure(BQL + kind))
            for kind in holders(comparison)
        ),
    ]


LEGEND = (
    "Times are ms, medians of each point's runs. transfer: first to last buffer of a device; wait: for "
    "buffers; load: into the device; ready: all is here, config not yet allowed; config: its load; these are "
    "means over the devices, whose phases overlap. BQL: how long in all which threads held it."
)


def _settings(comparison: Comparison) -> list[Column]:
    """A column for each key that was varied besides the design."""
    keys = [scan.key for scan in comparison.spec.scans if scan.key != KEY]
    return [
        Column("design", key, lambda point, key=key: point.settings[key], words=True)  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        for key in keys
    ]


def _design(comparison: Comparison, point: PointSummary) -> str:
    name = point.settings[KEY]
    design = next(design for design in comparison.designs if design.name == name)
    return name if design.runs_as == name else f"{name} (runs as {design.runs_as})"


def _verdicts(comparison: Comparison) -> list[Column]:
    """Only where there is something to say."""
    if all(point.verdict == "completed" for point in comparison.points):
        return []
    return [Column("design", "verdict", verdict, words=True)]


def holders(comparison: Comparison) -> list[str]:
    """Kinds of threads that held the big lock, the longest holders first."""
    held: dict[str, float] = {}
    for point in comparison.points:
        for name, spread in point.figures.items():
            if name.startswith(BQL):
                kind = name.removeprefix(BQL)
                held[kind] = held.get(kind, 0.0) + spread.median
    return sorted(held, key=lambda kind: -held[kind])


def print_table(comparison: Comparison, console: Console) -> None:
    """Print it as one table; in pieces, below each other, where a terminal is too narrow for that."""
    wanted = columns(comparison)
    whole = _table(comparison, wanted)
    room = console.width if console.is_terminal else 10_000
    if console.measure(whole, options=console.options.update(max_width=10_000)).maximum <= room:
        _print(console, whole, room)
        return
    for group in ("downtime", "parts", "bql"):
        if group != "downtime":
            console.file.write("\n")
        _print(console, _table(comparison, [c for c in wanted if c.group in ("design", group)]), room)


def _print(console: Console, table: Table, width: int) -> None:
    Console(file=console.file, width=width, highlight=False, no_color=console.no_color).print(table)


def _table(comparison: Comparison, shown: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for column in shown:
        table.add_column(column.head, justify="left" if column.words else "right", no_wrap=True)
    for number, point in enumerate(comparison.points):
        style = {"failed": "red", "not run": "dim", "by nature": "yellow"}.get(point.verdict, "")
        table.add_row(*(Text(column.cell(point), style) for column in shown))
        if _ends_group(comparison.points, number):
            table.add_row()
    return table


def _ends_group(points: Sequence[PointSummary], number: int) -> bool:
    """Whether the next row is of another point, with the designs from the first on."""
    others = [{key: v for key, v in point.settings.items() if key != KEY} for point in points]
    return number + 1 < len(points) and others[number] != others[number + 1]


def remarks(comparison: Comparison) -> list[str]:
    """A line for each point that did not simply complete: what was broken, and why that had to be."""
    told = []
    for point in comparison.points:
        if point.verdict == "completed":
            continue
        broken = f"broke invariant {point.invariant}" if point.invariant else "failed"
        what = {
            "not run": "not run",
            "by nature": f"{broken} by its nature ({point.nature})",
            "failed": broken,
        }[point.verdict]
        many = f" in {len(point.raw) - point.completed} of {len(point.raw)} runs" if point.raw else ""
        told.append(f"{point.point.removeprefix(f'{KEY}=')}: {what}{many}: {point.reason}")
    return told
