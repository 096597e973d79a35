"""The tables of docs/who-loads-config.md, out of what benchmarks/who_loads_config.sh kept.

Run it from the project's root: ``python benchmarks/who_loads_config.py DIR``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from migemu.lab.compare import Comparison
from migemu.lab.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.lab.study_summary import PointSummary, Spread

PUBLISHED = {
    ("T2", "disabled"): (283, 614, 1783),
    ("T2", "enabled"): (274, 434, 1068),
    ("T4", "disabled"): (487, 859, 1900),
    ("T4", "enabled"): (366, 556, 1095),
}
"""Downtimes in ms for 1, 2 and 4 VFs (Maciej S. Szmigiero, 1 Oct and 17 Nov 2024)."""

PUBLISHED_CHANNELS = {"6": 1095, "8": 1104, "15": 1125}
"""T4, 4 VFs, enabled."""


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print(row(heads))
    print(row("---" for _ in heads))
    for cells in rows:
        print(row(cells))
    print()


def ms(spread: Spread | None) -> str:
    """A median and its interval."""
    if spread is None:
        return "-"
    return f"{spread.median * 1000:.0f} ({spread.low * 1000:.0f} to {spread.high * 1000:.0f})"


def load(folder: Path) -> Comparison:
    return Comparison.model_validate_json((folder / "compare.json").read_bytes())


def find(comparison: Comparison, **settings: str) -> PointSummary | None:
    """The point with these settings."""
    found = (point for point in comparison.points if settings.items() <= point.settings.items())
    return next(found, None)


def median(comparison: Comparison, figure: str = "downtime", **settings: str) -> float | None:
    point = find(comparison, **settings)
    return None if point is None else point.median(figure)


def fits(comparison: Comparison) -> None:
    """Dilated over undilated, where both fit the machine."""
    values = {scan.key: scan.values for scan in comparison.spec.scans}
    heads = ["devices", "design", *(f"dilation {by}: ms" for by in values["dilation"])]
    rows = []
    for devices in values["devices"]:
        for design in values["handoff"]:
            points = [
                find(comparison, devices=devices, handoff=design, dilation=by) for by in values["dilation"]
            ]
            rows.append(
                [devices, design, *(ms(point.spread("downtime") if point else None) for point in points)]
            )
    print("### Dilated against undilated\n")
    table(heads, rows)


def study(comparison: Comparison) -> None:
    """Downtime by devices and design, with and without skew, and the ratio to the first design."""
    values = {scan.key: scan.values for scan in comparison.spec.scans}
    for skew in values["skew"]:
        print(f"### Downtime, ms, skew {skew}\n")
        cells = []
        for design in values["handoff"]:
            points = [find(comparison, devices=n, skew=skew, handoff=design) for n in values["devices"]]
            cells.append([design, *(downtime(point) for point in points)])
        table(["design", *(f"{n} devices" for n in values["devices"])], cells)
    print("### Ready but not yet allowed, mean over devices, ms (skew 1 / last skew)\n")
    cells = []
    for design in values["handoff"]:
        pairs = []
        for n in values["devices"]:
            both = (
                median(comparison, "ready_wait", devices=n, skew=s, handoff=design) for s in values["skew"]
            )
            pairs.append(" / ".join("-" if value is None else f"{value * 1000:.0f}" for value in both))
        cells.append([design, *pairs])
    table(["design", *(f"{n} devices" for n in values["devices"])], cells)


def downtime(point: PointSummary | None) -> str:
    if point is None or not point.completed:
        return "-" if point is None else point.verdict
    ratio = f", x{point.ratio.median:.2f}" if point.ratio else ""
    return f"{ms(point.spread('downtime'))}{ratio}"


def published(comparison: Comparison) -> None:
    """The shape against T2, T3 and T4."""
    print("### Against the published tables, ms\n")
    counts = [n for n in ("1", "2", "4") if find(comparison, devices=n)]
    rows = [
        [f"{name}, {what}", *(str(figure) for figure in figures)]
        for (name, what), figures in PUBLISHED.items()
    ]
    for what, design in (("disabled", "main-channel"), ("enabled", "load-thread")):
        found = (median(comparison, devices=n, skew="1", handoff=design) for n in counts)
        rows.append([f"here, {what}", *("-" if value is None else f"{value * 1000:.0f}" for value in found)])
    table(["", "1 VF", "2 VFs", "4 VFs"], rows)
    coupled = median(comparison, devices="4", skew="1", handoff="recv-loads-nonblocking")
    apart = median(comparison, devices="4", skew="1", handoff="load-thread")
    if coupled and apart:
        print(f"coupled over decoupled, 4 devices: published 1.21, here {coupled / apart:.2f}\n")


def config_time(comparison: Comparison) -> None:
    values = {scan.key: scan.values for scan in comparison.spec.scans}
    (key,) = [key for key in values if key.endswith("config_load_time")]
    print("### By what a config load costs, 4 devices, skew 8, ms\n")
    rows = [
        [time, *(downtime(find(comparison, **{key: time, "handoff": d})) for d in values["handoff"])]
        for time in values[key]
    ]
    table(["config load", *values["handoff"]], rows)


def channels(folder: Path) -> None:
    path = folder / "sweep.json"
    if not path.exists():
        return
    sweep = Sweep.model_validate_json(path.read_bytes())
    print("### Channels, 4 devices, load-thread, ms\n")
    rows = [
        [
            point.settings["channels"],
            ms(point.spread("downtime")),
            str(PUBLISHED_CHANNELS.get(point.settings["channels"], "-")),
        ]
        for point in sweep.points
    ]
    table(["channels", "here", "T4"], rows)
    for knee in sweep.knees:
        print(f"- {knee.text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    parts = {"fits": (fits,), "devices": (study, published), "config-time": (config_time,)}
    for name, shows in parts.items():
        if (folder / name / "compare.json").exists():
            for show in shows:
                show(load(folder / name))
    channels(folder / "channels")


if __name__ == "__main__":
    main()
