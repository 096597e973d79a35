"""The kinds of charts that reports are made of.

Every chart says its unit on its axis, uses colours that colour-blind people can tell apart, and keeps its
text as text.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from migemu.observe.chart import COLOURS, GRID, Chart, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes


LINES = ("--", ":", "-.")
"""How moments are drawn; no more than these."""

LONG_LABEL = 26
"""Characters of a legend's label beyond which four do not fit beside each other."""


class Stack(NamedTuple):
    """One stacked bar: its label and the parts it consists of."""

    label: str
    parts: Mapping[str, float]


class Row(NamedTuple):
    """One row of a timeline: spans of (start, end) by kind."""

    label: str
    spans: Mapping[str, Sequence[tuple[float, float]]]


class Point(NamedTuple):
    """A measured point with its interval; low and high are y itself where there is none."""

    x: float
    y: float
    low: float
    high: float


def stacked_bars(
    bars: Sequence[Stack], unit: str, alt: str, *, colours: Mapping[str, str] | None = None
) -> Chart:
    """Horizontal stacked bars, the first on top, each with its sum at the end.

    Args:
        bars: parts missing from one bar count as 0.
        unit: of all values, for the axis.
        alt: says in words what is to be seen.
        colours: by kind; others get one of the palette in order of first mention.
    """
    kinds = list(dict.fromkeys(kind for bar in bars for kind in bar.parts))
    chart, (axes,) = canvas(0.9 + 0.42 * len(bars) + 0.25 * -(-len(kinds) // 4), alt)
    ends = [0.0] * len(bars)
    for kind, colour in _colours(kinds, colours):
        widths = [bar.parts.get(kind, 0.0) for bar in bars]
        axes.barh(range(len(bars)), widths, left=ends, color=colour, label=kind, height=0.62)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for place, end in enumerate(ends):
        axes.annotate(
            f"{end:.0f}" if end >= 1000 else f"{end:.4g}",
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.invert_yaxis()
    _finish(axes, unit, legend=len(kinds))
    return chart


def timeline(
    rows: Sequence[Row],
    unit: str,
    alt: str,
    *,
    colours: Mapping[str, str] | None = None,
    moments: Mapping[str, float] | None = None,
) -> Chart:
    """Spans over time, a row each, and moments as lines through all rows.

    Args:
        rows: the first on top.
        unit: of all times, for the axis.
        alt: says in words what is to be seen.
        colours: by kind; others get one of the palette in order of first mention.
        moments: times by name.
    """
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.spans))
    chart, (axes,) = canvas(0.9 + 0.3 * len(rows) + 0.25 * -(-len(kinds) // 4), alt)
    for kind, colour in _colours(kinds, colours):
        for place, row in enumerate(rows):
            spans = [(start, end - start) for start, end in row.spans.get(kind, ())]
            axes.broken_barh(spans, (place - 0.32, 0.64), facecolors=colour)
        axes.barh(0, 0, color=colour, label=kind)  # the legend's entry
    for (name, at), line in zip((moments or {}).items(), LINES, strict=False):
        axes.axvline(at, color="#1d2733", linewidth=0.9, linestyle=line, label=name)
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _finish(axes, unit, legend=len(kinds) + len(moments or {}))
    return chart


def lines_with_intervals(
    series: Mapping[str, Sequence[Point]],
    x: str,
    y: str,
    alt: str,
    *,
    log: bool = False,
    colours: Mapping[str, str] | None = None,
) -> Chart:
    """Medians joined by lines, their intervals as bands, y from 0.

    Args:
        series: points by name, each by rising x.
        x: what the x axis says.
        y: what the y axis says, unit included.
        alt: says in words what is to be seen.
        log: x doubles from tick to tick, as channel counts do.
        colours: by name; others get one of the palette in order of first mention.
    """
    chart, (axes,) = canvas(3.6, alt)
    for name, colour in _colours(list(series), colours):
        points = series[name]
        xs = [point.x for point in points]
        axes.plot(xs, [point.y for point in points], "o-", color=colour, label=name, markersize=4)
        lows, highs = [point.low for point in points], [point.high for point in points]
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.18, linewidth=0)
    if log:
        axes.set_xscale("log", base=2)
    ticks = sorted({point.x for points in series.values() for point in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_ylabel(y)
    axes.grid(axis="y", color=GRID)
    _finish(axes, x, legend=len(series) if len(series) > 1 else 0)
    return chart


def steps(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, alt: str) -> Chart:
    """Levels over time that hold until they change; also right for any curve of (x, y)."""
    chart, (axes,) = canvas(3.0, alt)
    for name, colour in _colours(list(series)):
        points = series[name]
        xs, ys = [point[0] for point in points], [point[1] for point in points]
        axes.plot(xs, ys, drawstyle="steps-post", color=colour, label=name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(y)
    axes.grid(axis="y", color=GRID)
    _finish(axes, x, legend=len(series) if len(series) > 1 else 0)
    return chart


def columns(values: Mapping[str, float], x: str, y: str, alt: str) -> Chart:
    """Upright bars side by side, for a distribution over channels or the like."""
    chart, (axes,) = canvas(2.6, alt)
    axes.bar(range(len(values)), list(values.values()), color=COLOURS[0], width=0.8)
    every = max(1, len(values) // 24)
    names = list(values)
    axes.set_xticks(range(0, len(names), every), names[::every])
    axes.set_ylabel(y)
    axes.grid(axis="y", color=GRID)
    _finish(axes, x, legend=0)
    return chart


def _colours(kinds: Sequence[str], given: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Each kind with its colour."""
    own = given or {}
    spare = (colour for colour in cycle(COLOURS) if colour not in own.values())
    return [(kind, own.get(kind) or next(spare)) for kind in kinds]


def _finish(axes: Axes, x: str, *, legend: int) -> None:
    """The axis below, and the legend above the picture, where it hides nothing."""
    axes.set_xlabel(x)
    axes.grid(axis="x", color=GRID)
    axes.tick_params(length=0)
    if legend:
        most = 4 if max(map(len, axes.get_legend_handles_labels()[1])) <= LONG_LABEL else 2
        above = axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=min(legend, most), borderaxespad=0.3
        )
        above.set_frame_on(False)
