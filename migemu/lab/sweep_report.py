"""A sweep as a self-contained HTML page, and its charts as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.compare_report import PATH_COLOURS
from migemu.lab.study_figures import PARTS, PATH
from migemu.lab.study_kept import TYPICAL
from migemu.lab.study_page import (
    Picture,
    axis_of,
    curves,
    gallery,
    line_name,
    mean_parts,
    raw_figures,
    what_ran,
)
from migemu.lab.sweep_table import LEGEND, by_line, columns, failures, judgement_lines
from migemu.observe import amounts, charts
from migemu.observe.html import Html, Section, html_page, mark, paragraph, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from migemu.lab.study_summary import PointSummary
    from migemu.lab.sweep import Sweep
    from migemu.lab.sweep_baseline import Baseline, Judgement
    from migemu.observe.chart import Chart

MIB = 2**20
SIDES = {"source": "cpu_source", "destination": "cpu_destination"}
MEMORY = {"source": "memory_source", "destination": "memory_destination"}
SHARES = {"most loaded": "share_most", "least loaded": "share_least"}


def pictures(sweep: Sweep) -> list[Picture]:
    """The charts."""
    return [
        *curves(sweep, "downtime", {"": "downtime"}, "downtime, ms", 1000),
        *curves(sweep, "state", {"": "device_rate"}, "device state, MiB/s", 1 / MIB),
        *curves(sweep, "ram", {"": "ram_rate"}, "RAM before the downtime, MiB/s", 1 / MIB),
        *_stacks(sweep, "path", PATH, PATH_COLOURS),
        *_stacks(sweep, "parts", PARTS, None),
        *curves(sweep, "cpu", SIDES, "CPU, cores", 1),
        *curves(sweep, "queue", {"": "queue_peak"}, "queued at the most, MiB", 1 / MIB),
        *curves(sweep, "shares", SHARES, "of a fair share", 1),
        *curves(sweep, "memory", MEMORY, "resident at the most, MiB", 1 / MIB),
    ]


def _stacks(
    sweep: Sweep, kind: str, labels: Mapping[str, str], colours: Mapping[str, str] | None
) -> Iterator[Picture]:
    """The downtime's parts, a bar for each point, a chart for each line of points."""
    axis = axis_of(sweep)
    lines: dict[str, list[charts.Stack]] = {}
    for point in sweep.points:
        parts = mean_parts(point, labels)
        if any(parts.values()):
            line, name = _place(point, None if axis is None else axis.key)
            lines.setdefault(line, []).append(charts.Stack(name, parts))
    for line, bars in lines.items():
        yield Picture(kind, line, _stack(bars, colours))


def _place(point: PointSummary, axis: str | None) -> tuple[str, str]:
    """Which line a point belongs to, and what its bar is called."""
    if axis is None:
        return "", point.point
    return line_name(point, axis), f"{axis}={point.settings[axis]}"


def _stack(bars: Sequence[charts.Stack], colours: Mapping[str, str] | None) -> Chart:
    return charts.stacked_bars(bars, "ms", "parts of the downtime, a bar for each point", colours=colours)


def page(sweep: Sweep, drawn: Sequence[Picture], baseline: Baseline | None = None) -> str:
    """The whole page.

    Args:
        sweep: what to show.
        drawn: its charts, from `pictures`.
        baseline: how it compares with an earlier sweep.
    """
    spec = sweep.spec
    points = amounts.count(len(sweep.points), "point")
    sections = [section for section in _sections(sweep, drawn, baseline) if section.body]
    subtitle = f"{points}, {amounts.count(spec.runs, 'run')} each, migemu {spec.versions.migemu}"
    return html_page(f"Sweep: {spec.name}", sections, subtitle)


def _sections(sweep: Sweep, drawn: Sequence[Picture], baseline: Baseline | None) -> Iterator[Section]:
    yield Section("Result", result_table(sweep), LEGEND)
    note = "The smallest count that the runs cannot tell from the best: its median is in the best's interval."
    yield Section("Knees", "".join(paragraph(knee.text()) for knee in sweep.knees), note)
    if baseline is not None:
        yield Section("Against the baseline", against(baseline), baseline.rule)
    yield Section("Failed", "".join(map(paragraph, failures(sweep))))
    yield Section("Downtime", gallery(drawn, "downtime"), "Medians and 95 % intervals.")
    note = "All devices' data, from the first save thread's start to the last buffer loaded."
    yield Section("Device state", gallery(drawn, "state"), note)
    yield Section("RAM", gallery(drawn, "ram"), "While the VM still runs on the source.")
    note = "The way of the device whose config was in last; means of the completed runs."
    yield Section("Parts of the downtime, along the last device", gallery(drawn, "path"), note)
    yield Section("Parts of the downtime, at QEMU's checkpoints", gallery(drawn, "parts"))
    yield Section("CPU", gallery(drawn, "cpu"), "Cores used over the migration, by side.")
    yield Section("Queue", gallery(drawn, "queue"), "Most bytes that waited at the destination.")
    note = "Bytes of the most and the least loaded channel; 1 would be an equal share."
    yield Section("Channels' shares", gallery(drawn, "shares"), note)
    yield Section("Memory", gallery(drawn, "memory"))
    yield Section("Raw figures", raw_figures(sweep), f"All of them are in sweep.json, runs in {TYPICAL}/.")
    yield Section("What ran", what_ran(sweep.spec))


def result_table(sweep: Sweep) -> Html:
    """The terminal's table."""
    shown = columns(sweep)
    rows = [[column.cell(point) for column in shown] for point in by_line(sweep)]
    return table([column.head for column in shown], rows, words=len(sweep.spec.scans))


def against(baseline: Baseline) -> Html:
    """Every judgement, and the summing up."""
    rows = [_judgement(one) for one in baseline.judgements]
    heads = ("point", "figure", "new / old", "from", "to", "")
    last = [line for line in judgement_lines(baseline) if not line.startswith(("worse", "better", "rule"))]
    return Html(table(heads, rows, words=2) + "".join(map(paragraph, last)))


def _judgement(one: Judgement) -> tuple[str, ...]:
    figures = (amounts.UNKNOWN if x is None else f"{x:.3f}" for x in (one.ratio, one.low, one.high))
    good = {"worse": False, "better": True}.get(one.verdict)
    return (one.point, one.label, *figures, mark(one.verdict, good=good))
