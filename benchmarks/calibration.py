"""The published tables beside virtual runs of configs/connectx7.toml, as Markdown.

    .venv/bin/python benchmarks/calibration.py

A calibration, not a prediction: docs/fidelity-virtual.md says which constants were fitted, on which rows.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from migemu.lab.virtual import run_virtual
from migemu.scenario import load

if TYPE_CHECKING:
    from migemu.observe.model import Result

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
SHARED = {15: 1250, 25: 1250, 100: 1450}
"""T1's channel sweep without dedicated channels, 17 to 19 Apr 2024, ms."""
OLD_WAY = 2100
"""T1, 4 VFs on the main channel, ms."""
WAIT, LOAD = (69, 43, 75, 79), (210, 217, 206, 204)
"""T3: each VF's wait for buffers and load, ms."""
COUPLED, DECOUPLED = 1295, 1068
"""T3: lowest of 115 runs, 4 VFs, ms."""
VARIED = "virtual.jitter.write=0.27"
"""T3: the four loads of 100 buffers differ by 5.7 ms (standard deviation), so one of 2.1 ms by 0.57 ms."""
SEEDS = 21
"""Runs whose median is taken where times vary."""
SETUP = {1: (52, 47, 54, 43, 46, 47), 4: (450, 414, 445, 463, 442, 446)}
"""T5: setup by number of VFs, ms; its downtimes are of devices whose size nobody told."""


def run(*overrides: str) -> Result:
    """A virtual run that completed."""
    result = run_virtual(load(CONFIG, overrides=overrides, environ={})).result
    assert result.verdict == "completed", result.reasons
    return result


def downtime(*overrides: str) -> float:
    """Milliseconds of a virtual run."""
    return (run(*overrides).times.downtime or 0.0) * 1000


def varied(*overrides: str) -> float:
    """The median of runs whose devices do not all write at the same speed."""
    return median(downtime(VARIED, f"seed={seed}", *overrides) for seed in range(SEEDS))


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
    head("T1, RFC, 4 VFs, channels shared with RAM (another series, slower throughout)")
    row("old way, 15 channels", OLD_WAY, downtime("handoff=main-channel", "channels=15"))
    for channels, told in SHARED.items():
        row(f"{channels} channels", told, downtime("handoff=load-thread", f"channels={channels}"))
    per_device()
    coupled_and_decoupled()
    head("T5, Red Hat QE, other hardware: setup (median of 6 runs)")
    for devices, times in SETUP.items():
        row(f"{devices} VF", median(times), (run(f"devices={devices}").times.setup or 0.0) * 1000)


def per_device() -> None:
    """T3's table: what each VF's load thread does, in the mean over the four."""
    head("T3, per VF: mean of the four (4 VFs, 6 channels)")
    devices = run("handoff=load-thread", VARIED).devices
    row("waiting for buffers", fmean(WAIT), fmean(device.wait or 0.0 for device in devices) * 1000)
    row("loading into the device", fmean(LOAD), fmean(device.load or 0.0 for device in devices) * 1000)


def coupled_and_decoupled() -> None:
    """T3's other figure, with devices that all write alike and with devices that do not."""
    head("T3: receive threads load by themselves, over load threads")
    coupled, decoupled = "handoff=recv-loads-nonblocking", "handoff=load-thread"
    told = COUPLED / DECOUPLED
    for name, measure in (("all writes alike", downtime), ("writes vary as T3's", varied)):
        ratio = measure(coupled) / measure(decoupled)
        print(f"| {name} | {told:.2f} | {ratio:.2f} | {ratio / told - 1:+.0%} |")


if __name__ == "__main__":
    main()
