"""Pieces of a study's page that comparisons and sweeps share."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from migemu.errors import MigemuError
from migemu.lab.study_kept import slug
from migemu.lab.study_scan import Scan
from migemu.observe import amounts, charts, events, pictures, result
from migemu.observe.chart import COLOURS
from migemu.observe.html import Html, details, paragraph, table
from migemu.observe.index import Index
from migemu.observe.recorder import EVENTS, RESULT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from migemu.lab.study import Spec
    from migemu.lab.study_summary import PointSummary, Summary
    from migemu.observe.chart import Chart

MOST_LINES = len(COLOURS) - 1
"""Lines of one chart that can be told apart."""


class Picture(NamedTuple):
    """A chart of a study."""

    kind: str
    """What it shows, in a word."""
    label: str
    """Of which point, or of which lines; empty where there is one chart of the kind."""
    chart: Chart

    @property
    def file(self) -> str:
        """The name it is kept under, without an ending."""
        return f"{self.kind}-{slug(self.label)}" if self.label else self.kind


def gallery(pictures: Sequence[Picture], kind: str) -> Html:
    """Every chart of a kind, each under its label."""
    mine = [picture for picture in pictures if picture.kind == kind]
    return Html(
        "".join(
            (paragraph(picture.label, "note") if picture.label else "") + picture.chart.svg()
            for picture in mine
        )
    )


def mean_parts(point: PointSummary, labels: Mapping[str, str]) -> dict[str, float]:
    """Parts of a whole in ms, by label: means, because medians of parts do not add up."""
    means = {figure: point.values(figure) for figure in labels}
    return {labels[figure]: fmean(values) * 1000 for figure, values in means.items() if values}


def curves(summary: Summary, kind: str, figures: Mapping[str, str], unit: str, scale: float) -> list[Picture]:
    """Figures over the first numeric key, a line for each of them and each combination of the other keys.

    Args:
        summary: the study's.
        kind: of the charts.
        figures: what a line is called, to the figure's name; "" where the other keys say enough.
        unit: what the y axis says.
        scale: from the figures' own unit to `unit`.

    Returns:
        Charts of at most as many lines as can be told apart; none where no key is numeric.
    """
    axis = axis_of(summary)
    if axis is None:
        return []
    lines = _lines(summary, axis.key, figures, scale)
    names = list(lines)
    pieces = [names[at : at + MOST_LINES] for at in range(0, len(names), MOST_LINES)]
    several = len(pieces) > 1
    return [
        Picture(kind, f"{number} of {len(pieces)}" if several else "", _curve(lines, piece, axis, unit))
        for number, piece in enumerate(pieces, 1)
    ]


def _curve(lines: Mapping[str, list[charts.Point]], names: Sequence[str], axis: Scan, unit: str) -> Chart:
    log = all(number > 0 for number in axis.numbers() or ())
    shown = {name: lines[name] for name in names}
    alt = f"{unit} over {axis.key}: {', '.join(names)}"
    return charts.lines_with_intervals(shown, axis.key, unit, alt, log=log)


def axis_of(summary: Summary) -> Scan | None:
    """The first key whose values are several numbers."""
    scans = (Scan(scan.key, scan.values) for scan in summary.spec.scans)
    return next((scan for scan in scans if len(scan.numbers() or ()) > 1), None)


def _lines(
    summary: Summary, axis: str, figures: Mapping[str, str], scale: float
) -> dict[str, list[charts.Point]]:
    """Lines by name; points by rising x."""
    found: dict[str, list[charts.Point]] = {}
    for point in summary.points:
        for label, figure in figures.items():
            spread = point.spread(figure)
            if spread is not None:
                y, low, high = (value * scale for value in (spread.median, spread.low, spread.high))
                place = charts.Point(float(point.settings[axis]), y, low, high)
                name = ", ".join(filter(None, (label, line_name(point, axis)))) or figure
                found.setdefault(name, []).append(place)
    return {name: sorted(points) for name, points in found.items()}


def line_name(point: PointSummary, axis: str) -> str:
    """What a point shares with the others of its line."""
    rest = [(key, value) for key, value in point.settings.items() if key != axis]
    return ", ".join(value if key == "handoff" else f"{key}={value}" for key, value in rest)


def typical_timeline(folder: Path) -> Html:
    """The devices' timeline of a kept run; empty where none is kept."""
    try:
        run = result.load(folder / RESULT)
        told = events.read(folder / EVENTS)
    except MigemuError:
        return Html("")
    chart = pictures.device_chart(Index(told), run.dilation)
    return chart.svg() if chart is not None else Html("")


def raw_figures(summary: Summary) -> Html:
    """Every run's downtime, folded away; the rest is in the JSON."""
    lines = []
    for point in summary.points:
        values = (
            amounts.ms(run.figures.get("downtime")) if run.verdict == "completed" else "failed"
            for run in point.raw
        )
        lines.append(f"{point.point}: {', '.join(values)}")
    return details("downtime of each run, ms", "\n".join(lines))


def what_ran(spec: Spec) -> Html:
    """What it takes to run it again, and what to know before quoting it."""
    versions = [(name, str(value or "-")) for name, value in spec.versions.model_dump().items()]
    scans = [(f"scan {scan.key}", ", ".join(scan.values)) for scan in spec.scans]
    order = f"rounds of all points, shuffled from seed {spec.seed}"
    runs = [("runs of each point", str(spec.runs)), ("warm-up runs", str(spec.warmup)), ("order", order)]
    notes = "".join(map(paragraph, spec.notes))
    body = table(("", ""), [*versions, *runs, *scans], words=2)
    return Html(notes + body + details("scenario", spec.scenario))
