"""A comparison as a self-contained HTML page, and its charts as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.compare import KEY
from migemu.lab.compare_table import LEGEND, Cell, columns, holders, remarks, verdict
from migemu.lab.study_figures import BQL, PARTS, PATH
from migemu.lab.study_kept import TYPICAL, slug
from migemu.lab.study_page import (
    Picture,
    curves,
    gallery,
    mean_parts,
    raw_figures,
    typical_timeline,
    what_ran,
)
from migemu.observe import amounts, charts
from migemu.observe.html import Html, Section, html_page, mark, paragraph, table
from migemu.observe.pictures import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from migemu.lab.compare import Comparison
    from migemu.lab.study_summary import PointSummary, Spread
    from migemu.observe.chart import Chart

PATH_COLOURS = {
    PATH["path stop"]: "#5a6672",
    PATH["path wait"]: COLOURS["waiting for buffers"],
    PATH["path load"]: COLOURS["loading data"],
    PATH["path config on its way"]: "#56b4e9",
    PATH["path ready"]: COLOURS["ready, not yet allowed"],
    PATH["path config"]: COLOURS["config load"],
    PATH["path after"]: "#cc79a7",
}
"""As in the timelines."""

LEAST_RUNS = 3
"""Runs below which nothing is said of a ratio: its interval is what little was seen."""

COMPARED = {name: label for name, label in PARTS.items() if not name.endswith("announce")}
"""Parts of the downtime that are set beside a real QEMU's; telling the network takes neither any time."""

MOST_TIMELINES = 48
"""Timelines on a page; of a larger study only the last point's are drawn."""

Groups = dict[str, list["PointSummary"]]


def pictures(comparison: Comparison) -> list[Picture]:
    """The charts."""
    drawn: list[Picture] = []
    for name, points in groups(comparison).items():
        found = {
            "path": _bars(points, PATH, PATH_COLOURS, "the downtime along the last device"),
            "parts": _bars(points, PARTS, None, "the downtime at QEMU's checkpoints"),
            "bql": _bars(points, _holders(comparison), None, "who held the BQL"),
        }
        drawn += [Picture(kind, name, chart) for kind, chart in found.items() if chart is not None]
    return [*drawn, *curves(comparison, "downtime", {"": "downtime"}, "ms", 1000)]


def groups(comparison: Comparison) -> Groups:
    """Points by what they share besides the design."""
    found: Groups = {}
    for point in comparison.points:
        name = ", ".join(f"{key}={value}" for key, value in point.settings.items() if key != KEY)
        found.setdefault(name, []).append(point)
    return found


def _holders(comparison: Comparison) -> dict[str, str]:
    return {BQL + kind: kind for kind in holders(comparison)}


def _bars(
    points: list[PointSummary], labels: Mapping[str, str], colours: Mapping[str, str] | None, alt: str
) -> Chart | None:
    """A stacked bar for each design that has completed runs."""
    bars = [charts.Stack(point.settings[KEY], mean_parts(point, labels)) for point in points]
    bars = [bar for bar in bars if any(bar.parts.values())]
    if not bars:
        return None
    return charts.stacked_bars(bars, "ms", f"{alt}, a bar for each design", colours=colours)


def page(comparison: Comparison, drawn: Sequence[Picture], folder: Path) -> str:
    """The whole page.

    Args:
        comparison: what to show.
        drawn: its charts, from `pictures`.
        folder: where typical runs are kept.
    """
    spec = comparison.spec
    title = f"Hand-off designs: {spec.name}"
    many = f"{amounts.count(len(spec.scans[-1].values), 'design')}, {amounts.count(spec.runs, 'run')} each"
    sections = [section for section in _sections(comparison, drawn, folder) if section.body]
    return html_page(title, sections, f"{many}, migemu {spec.versions.migemu}")


def _sections(comparison: Comparison, drawn: Sequence[Picture], folder: Path) -> Iterator[Section]:
    spec = comparison.spec
    yield Section("Downtime", result_table(comparison), LEGEND)
    yield Section("Failed or not run", "".join(map(paragraph, remarks(comparison))))
    first = spec.scans[-1].values[0]
    note = f"Downtime over that of {first} at the same point, with the 95 % bootstrap interval of the ratio."
    yield Section("Ratios", ratios(comparison), note)
    note = (
        "A real QEMU's downtime beside migemu's of the same design: how much longer migemu's is, with the "
        "95 % bootstrap interval; then the medians of QEMU's parts, QEMU's / migemu's, in ms."
    )
    yield Section("How close to a real QEMU", deviations(comparison), note)
    yield Section("Downtime over what was varied", gallery(drawn, "downtime"), "Medians and 95 % intervals.")
    note = (
        "The device whose config was in last is the one everybody waited for. Each bar is its way through "
        "the downtime; a run's parts add up to its downtime, and the bars are means of the completed runs."
    )
    yield Section("Along the last device", gallery(drawn, "path"), note)
    note = "The same downtime, cut where QEMU cuts it."
    yield Section("At QEMU's checkpoints", gallery(drawn, "parts"), note)
    note = "Seconds in all for which threads of the destination held the big lock, waits inside it included."
    yield Section("Who held the BQL", gallery(drawn, "bql"), note)
    yield Section("What each device did", timelines(comparison, folder), _typical_note(comparison))
    yield Section("The designs", designs(comparison))
    yield Section("Raw figures", raw_figures(comparison))
    yield Section("What ran", what_ran(spec))


def result_table(comparison: Comparison) -> Html:
    """The terminal's table; ratios with their intervals, verdicts in colour."""
    shown = columns(comparison)
    words = sum(column.words for column in shown if column.group == "design")
    special: dict[str, Cell] = {"verdict": _verdict}
    rows = [
        [_unbroken(special.get(column.head, column.cell)(point)) for column in shown]
        for point in comparison.points
    ]
    return table([column.head for column in shown], rows, words=words)


def _verdict(point: PointSummary) -> Html:
    return mark(verdict(point), good=False if point.verdict == "failed" else None)


def _unbroken(text: str) -> str:
    """A design's name stays on one line."""
    whole = text.replace("-", "\N{NON-BREAKING HYPHEN}").replace(" ", "\N{NO-BREAK SPACE}")
    return text if isinstance(text, Html) else whole


def ratios(comparison: Comparison) -> Html:
    """Each point's downtime over the first design's, with the interval."""
    rows = [
        (point.point, f"{ratio.median:.3f}", f"{ratio.low:.3f}", f"{ratio.high:.3f}", _verdict_of(ratio))
        for point in comparison.points
        if (ratio := point.ratio) is not None
    ]
    return table(("point", "ratio", "from", "to", ""), rows)


def deviations(comparison: Comparison) -> Html:
    """Each real QEMU's row beside our own of its design; empty where none took part."""
    points = {tuple(point.settings.items()): point for point in comparison.points}
    rows = []
    for found in comparison.deviations:
        sides = [points[(*found.settings.items(), (KEY, name))] for name in (found.real, found.design)]
        parts = (" / ".join(amounts.ms(side.median(part)) for side in sides) for part in COMPARED)
        place = ", ".join([*(f"{key}={value}" for key, value in found.settings.items()), found.real])
        downtimes = (amounts.ms(spread.median) for spread in (found.theirs, found.ours))
        rows.append((_unbroken(place), *downtimes, found.percent(), *parts))
    heads = ("row", "QEMU", "migemu", "deviation", *COMPARED.values())
    return table(heads, rows) if rows else Html("")


def _verdict_of(ratio: Spread) -> str:
    if ratio.runs < LEAST_RUNS:
        return ""
    if ratio.low > 1:
        return "longer"
    return "shorter" if ratio.high < 1 else ""


def timelines(comparison: Comparison, folder: Path) -> Html:
    """One typical run of each point, as far as a page holds them."""
    found = groups(comparison)
    points = comparison.points
    if len(points) > MOST_TIMELINES:
        points = tuple(list(found.values())[-1])
    parts = []
    for point in points:
        drawn = typical_timeline(folder / TYPICAL / slug(point.point))
        if drawn:
            said = verdict(point)
            parts.append(paragraph(point.point.removeprefix(f"{KEY}=") + (f": {said}" if said else "")))
            parts.append(drawn)
    return Html("".join(parts))


def _typical_note(comparison: Comparison) -> str:
    few = "" if len(comparison.points) <= MOST_TIMELINES else " Only the last point's designs are drawn here."
    return (
        "The run of each point whose downtime is nearest to the median; where none completed, the last one. "
        f"All of it is in {TYPICAL}/: migemu report, migemu trace.{few}"
    )


def designs(comparison: Comparison) -> Html:
    """What each design is."""
    heads = ("design", "data", "config", "data loaded by", "config loaded by", "under the BQL", "in short")
    rows = [
        (
            design.name,
            design.data,
            design.config,
            design.data_loader,
            design.config_loader,
            "yes" if design.bql_for_config else "no",
            design.summary,
        )
        for design in comparison.designs
    ]
    return table(heads, rows, words=len(heads))
