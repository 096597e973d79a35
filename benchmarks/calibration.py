"""The published tables beside virtual runs of configs/connectx7.toml, as Markdown.

    .venv/bin/python benchmarks/calibration.py

A calibration, not a prediction: docs/fidelity-virtual.md says which constants were fitted, on which rows.
"""

from __future__ import annotations

from pathlib import Path

from migemu.lab.virtual import run_virtual
from migemu.scenario import load

CONFIG = Path(__file__).parent.parent / "configs" / "connectx7.toml"

PUBLISHED = {
    "T2, v2, 1 Oct 2024 (lowest of the runs)": {
        ("main-channel", 1): 283, ("main-channel", 2): 614, ("main-channel", 4): 1783,
        ("load-thread", 1): 274, ("load-thread", 2): 434, ("load-thread", 4): 1068,
    },
    "T4, v3, 17 Nov 2024 (25th percentile)": {
        ("main-channel", 1): 487, ("main-channel", 2): 859, ("main-channel", 4): 1900,
        ("load-thread", 1): 366, ("load-thread", 2): 556, ("load-thread", 4): 1095,
    },
}  # fmt: skip
CHANNELS = {6: 1095, 8: 1104, 15: 1125}
"""T4, 4 VFs, enabled, ms."""
DEDICATED = {15: 1250, 25: 1250, 100: 1450}
"""T1's channel sweep without dedicated channels, 17 to 19 Apr 2024, ms."""


def downtime(*overrides: str) -> float:
    """Milliseconds of a virtual run."""
    result = run_virtual(load(CONFIG, overrides=overrides, environ={})).result
    told = result.times.downtime
    assert told is not None, result.reasons
    return told * 1000


def row(name: str, published: float, virtual: float) -> None:
    print(f"| {name} | {published:.0f} ms | {virtual:.0f} ms | {virtual / published - 1:+.0%} |")


def head(title: str) -> None:
    print(f"\n### {title}\n\n| point | published | virtual | deviation |\n| --- | --- | --- | --- |")


def main() -> None:
    for title, points in PUBLISHED.items():
        head(title)
        for (handoff, devices), told in points.items():
            word = "enabled" if handoff == "load-thread" else "disabled"
            row(f"{word}, {devices} VF", told, downtime(f"handoff={handoff}", f"devices={devices}"))
    head("T4: channels, 4 VFs, enabled")
    for channels, told in CHANNELS.items():
        row(f"{channels} channels", told, downtime("handoff=load-thread", f"channels={channels}"))
    head("T1: channels shared with RAM, 4 VFs (another series, slower throughout)")
    for channels, told in DEDICATED.items():
        row(f"{channels} channels", told, downtime("handoff=load-thread", f"channels={channels}"))
    head("T3: receive threads load by themselves")
    decoupled = downtime("handoff=load-thread")
    coupled = downtime("handoff=recv-loads-nonblocking")
    row("coupled over decoupled, in ms", 1295, coupled)
    print(f"\npublished ratio 1.21, virtual {coupled / decoupled:.2f}")


if __name__ == "__main__":
    main()
