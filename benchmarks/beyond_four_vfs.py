"""The tables of docs/beyond-four-vfs.md as Markdown, and its plots, out of what beyond_four_vfs.sh kept.

.venv/bin/python benchmarks/beyond_four_vfs.py DIR PLOTS
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from math import inf
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from migemu.lab.compare import KEY, Comparison
from migemu.lab.compare_report import PATH_COLOURS
from migemu.lab.study_figures import PATH
from migemu.lab.study_page import mean_parts
from migemu.observe import charts
from migemu.observe.chart import COLOURS
from migemu.scenario import parse_rate, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.lab.study_summary import PointSummary
    from migemu.observe.chart import Chart

ALIKE = 0.02
"""Designs whose downtimes are nowhere further apart than this part are one line."""

AXES: dict[str, tuple[str, str, Callable[[str], float]]] = {
    "devices": ("devices", "devices", float),
    "skew": ("skew", "state of the first device over that of the last", float),
    "config": ("device.*.config_load_time", "config load, ms", lambda text: parse_time(text) * 1000),
    "rate": ("link.rate", "link, Gbit/s", lambda text: parse_rate(text) * 8 / 1e9),
}
"""By study: the key that is varied, what the axis says, how a value becomes a number."""

FIXED = {"skew": {"devices": "8"}}
"""What else a study varies, and the value that is drawn."""

LEADERS = (
    "load-thread",
    "load-ready",
    "blocking-wait",
    "reentrant",
    "recv-loads",
    "recv-loads-nonblocking",
    "main-channel",
)
"""After whom a group of designs that are alike is called: the first of these that is in it."""

COLOURS_OF = dict(zip(LEADERS, COLOURS, strict=False))
"""A group's colour is its leader's, in all plots."""

Curve = dict[float, float]
Downtimes = dict[str, float]


def load(folder: Path, name: str) -> Comparison:
    return Comparison.model_validate_json((folder / f"{name}.json").read_bytes())


def ms(point: PointSummary) -> float | None:
    told = point.median("downtime")
    return None if told is None else told * 1000


def curves(study: Comparison, name: str, **fixed: str) -> dict[str, Curve]:
    """Each design's downtimes in ms by the number that is varied."""
    key, _, number = AXES[name]
    found: dict[str, Curve] = defaultdict(dict)
    for point in study.points:
        told = ms(point)
        if told is not None and fixed.items() <= point.settings.items():
            found[point.settings[KEY]][number(point.settings[key])] = told
    return dict(found)


def alike(curves: dict[str, Curve]) -> list[list[str]]:
    """Designs in groups that one line can stand for, the first of each being what the others are held to."""
    groups: list[list[str]] = []
    for name, curve in curves.items():
        near = (group for group in groups if close(curves[group[0]], curve))
        group = next(near, None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return groups


def close(one: Curve, other: Curve) -> bool:
    return one.keys() == other.keys() and all(abs(other[x] / one[x] - 1) <= ALIKE for x in one)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for cells in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(cells)} |")
    print()


def tell(study: Comparison, name: str, **fixed: str) -> None:
    """One study as a table: a row for each value, a column for each group of designs."""
    found = curves(study, name, **fixed)
    groups = alike(found)
    xs = sorted({x for curve in found.values() for x in curve})
    told = " ".join(f"{key}={value}" for key, value in fixed.items())
    print(f"### {name} {told}\n")
    for number, group in enumerate(groups, 1):
        print(f"{number}. {', '.join(group)}")
    print()
    rows = ([f"{x:g}", *(f"{found[group[0]].get(x, float('nan')):.0f}" for group in groups)] for x in xs)
    table([AXES[name][1], *(str(number) for number in range(1, len(groups) + 1))], rows)


def draw(study: Comparison, name: str, **fixed: str) -> Chart:
    """The same as lines; where devices are counted, the downtime of each."""
    found = curves(study, name, **fixed)
    _, axis, _ = AXES[name]
    each = name == "devices"
    series, colours = {}, {}
    for group in sorted(alike(found), key=lambda group: LEADERS.index(leader(group))):
        points = sorted((x, y / x if each else y) for x, y in found[group[0]].items())
        series[label(group)] = [charts.Point(x, y, y, y) for x, y in points]
        colours[label(group)] = COLOURS_OF[leader(group)]
    unit = "downtime of each device, ms" if each else "downtime, ms"
    alt = f"{unit} over {axis}, a line for each group of designs that are alike"
    return charts.lines_with_intervals(series, axis, unit, alt, log=True, colours=colours)


def leader(group: Sequence[str]) -> str:
    return next(name for name in LEADERS if name in group)


def label(group: Sequence[str]) -> str:
    return leader(group) if len(group) == 1 else f"{leader(group)} + {len(group) - 1} more"


def path(study: Comparison, **fixed: str) -> Chart:
    """Where the time of all designs goes at one point: a bar each, the shortest on top."""
    points = [point for point in study.points if fixed.items() <= point.settings.items() and ms(point)]
    bars = [charts.Stack(point.settings[KEY], mean_parts(point, PATH)) for point in sorted(points, key=ms)]  # type: ignore[arg-type]  # those without were left out
    told = ", ".join(f"{key}={value}" for key, value in fixed.items())
    alt = f"the downtime of every design along its last device at {told}"
    return charts.stacked_bars(bars, "ms", alt, colours=PATH_COLOURS)


def summary_of_grid(study: Comparison) -> None:
    """Every design over the whole grid, against load-thread and against the shortest of each point."""
    points: dict[str, Downtimes] = defaultdict(dict)
    for point in study.points:
        told = ms(point)
        if told is not None:
            where = ", ".join(f"{key}={value}" for key, value in point.settings.items() if key != KEY)
            points[where][point.settings[KEY]] = told
    print(f"### all designs over {len(points)} points\n")
    designs = [record.name for record in study.designs]
    heads = ["design", "least", "median", "most", "shortest", "shortest with one lock", "failed"]
    table(heads, (_over_the_grid(design, list(points.values())) for design in designs))


def _over_the_grid(design: str, points: Sequence[Downtimes]) -> list[str]:
    """A design's row: ratios to load-thread, how often it is among the shortest, how often it failed."""
    mine = [each for each in points if design in each]
    ratios = [each[design] / each["load-thread"] for each in mine]
    locked = [{name: told for name, told in each.items() if name != "reentrant"} for each in mine]
    shown = [f"{value:.2f}" for value in (min(ratios), median(ratios), max(ratios))]
    counts = (_among_the_shortest(design, mine), _among_the_shortest(design, locked), len(points) - len(mine))
    return [f"`{design}`", *shown, *map(str, counts)]


def _among_the_shortest(design: str, points: Sequence[Downtimes]) -> int:
    return sum(each.get(design, inf) <= min(each.values()) * (1 + ALIKE) for each in points)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("plots", type=Path)
    asked = parser.parse_args()
    for name in AXES:
        study = load(asked.folder, name)
        draw(study, name, **FIXED.get(name, {})).save(asked.plots / f"{name}.svg")
        for fixed in ({"devices": "8"}, {"devices": "32"}) if name == "skew" else ({},):
            tell(study, name, **fixed)
    skew = load(asked.folder, "skew")
    path(skew, devices="32", skew="4").save(asked.plots / "designs.svg")
    grid = asked.folder / "grid.json"
    if grid.exists():
        summary_of_grid(load(asked.folder, "grid"))


if __name__ == "__main__":
    main()
