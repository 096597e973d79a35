#!/usr/bin/env python3
"""How close our designs come to the real QEMUs: `migemu compare --with-qemu` over a grid, as Markdown.

    .venv/bin/python benchmarks/fidelity.py OUT [--devices 1,2,4,8] [--channels 2,4,8] [--runs 3]

Every QEMU of version 10 or newer takes part unless --qemu (repeatable) names some. The grid is one study a
device count, in OUT/devices-N; what is finished there is not run again, so it may be cut into pieces.
Figures are medians in ms; the deviation is ours over the real QEMU's, with its 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from migemu.lab.compare import Comparison
from migemu.lab.compare_qemu import KEY
from migemu.qemu import binary

CONFIG = Path(__file__).parent / "fidelity.toml"
DESIGNS = "main-channel,load-thread,load-ready"
PARTS = {
    "stop": "part stop",
    "save": "part save_iterables",
    "load": "part load_remainder",
    "verify": "part verify_commit",
    "start": "part start",
}
"""Columns of the second table: parts of the downtime as QEMU cuts it, those that take any time."""


def study(asked: argparse.Namespace, devices: str) -> Comparison:
    """Run what is left of the grid's row of so many devices."""
    out = asked.out / f"devices-{devices}"
    command = [sys.executable, "-m", "migemu", "compare", str(CONFIG), "--set", f"devices={devices}"]
    command += ["--scan", f"migration.channels={asked.channels}", "--handoffs", DESIGNS, "--out", str(out)]
    command += ["--runs", str(asked.runs), *(f"--with-qemu={path}" for path in asked.qemu)]
    done = subprocess.run(command, check=False, stdout=sys.stderr)
    if done.returncode not in (0, 1):  # 1: a run failed, a real QEMU's perhaps; the others count
        raise SystemExit(done.returncode)
    return Comparison.model_validate_json((out / "compare.json").read_text())


def head(title: str, *columns: str) -> None:
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")


def downtimes(devices: str, made: Comparison) -> list[float]:
    """A line for each pair; their deviations."""
    for found in made.deviations:
        channels = found.settings["migration.channels"]
        spans = (
            f"{s.median * 1000:.0f} ({s.low * 1000:.0f}..{s.high * 1000:.0f})"
            for s in (found.theirs, found.ours)
        )
        print(f"| {devices} | {channels} | {found.real} | {' | '.join(spans)} | {found.percent()} |")
    return [found.ratio.median - 1 for found in made.deviations]


def summary(made: dict[str, Comparison]) -> None:
    """For each row and device count the deviations at all channel counts, from the lowest to the highest."""
    for row in dict.fromkeys(found.real for each in made.values() for found in each.deviations):
        cells = []
        for each in made.values():
            found = sorted(one.ratio.median - 1 for one in each.deviations if one.real == row)
            cells.append(f"{found[0]:+.0%} .. {found[-1]:+.0%}" if found else "-")
        print(f"| {row} | {' | '.join(cells)} |")


def parts(devices: str, made: Comparison) -> None:
    """QEMU's parts of the downtime beside ours, over all channel counts."""
    for row in dict.fromkeys(found.real for found in made.deviations):
        ours = next(found.design for found in made.deviations if found.real == row)
        cells = (f"{middle(made, row, part)} / {middle(made, ours, part)}" for part in PARTS.values())
        print(f"| {devices} | {row} | {' | '.join(cells)} |")


def middle(made: Comparison, row: str, figure: str) -> str:
    """The median over all runs of a row."""
    values = [value for point in made.points if point.settings[KEY] == row for value in point.values(figure)]
    return f"{statistics.median(values) * 1000:.0f}" if values else "-"


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--devices", default="1,2,4,8")
    parser.add_argument("--channels", default="2,4,8")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--qemu", action="append", default=[], help="a program or a folder; repeatable")
    asked = parser.parse_args()
    able = [one for one in binary.find_all() if one.version >= binary.VFIO_MULTIFD]
    asked.qemu = asked.qemu or [one.program for one in able]
    made = {devices: study(asked, devices) for devices in asked.devices.split(",")}
    head("Downtime, ms", "devices", "channels", "row", "QEMU", "migemu", "deviation")
    deviations = [found for devices, each in made.items() for found in downtimes(devices, each)]
    head("Deviations at all channel counts, by devices", "row", *made)
    summary(made)
    head("Parts, ms, QEMU / migemu, over all channel counts", "devices", "row", *PARTS)
    for devices, each in made.items():
        parts(devices, each)
    sizes = sorted(map(abs, deviations))
    within = ", ".join(
        f"{sum(size <= limit for size in sizes)} within {limit:.0%}" for limit in (0.02, 0.05, 0.1)
    )
    print(f"\n{len(sizes)} pairs: {within}; the median is {statistics.median(deviations):+.1%}.")


if __name__ == "__main__":
    main()
