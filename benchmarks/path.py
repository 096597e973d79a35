"""The whole path against iperf3: source data fd to destination data fd, verified, in interleaved pairs.

    .venv/bin/python benchmarks/path.py --channels 1,4,8,16 --pairs 10

Each pair is one `migemu run` with a device model that costs nothing, and one `iperf3 -P N` over the same
loopback, right after each other and in alternating order. What counts is the ratio within the run of this
script; the figures of one machine say nothing of another.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from migemu.observe.stats import median_interval, ratio_interval

SCENARIO = """
name = "path"
[platform]
needs_interrupt_controller = false
interrupt_controller_load_time = "0 ms"
[ram]
size = "4 MiB"
working_set = "4 MiB"
[migration]
channels = {channels}
[limits]
queue_per_device = "64 MiB"
queue_total = "256 MiB"
[[device]]
count = {devices}
state_size = {size}
config_size = "4 KiB"
"""
PORT = 5298
IPERF_SECONDS = 2


def migemu(channels: int, devices: int, total: int, folder: Path) -> float:
    """Bytes per second of one verified run."""
    config = folder / "path.toml"
    config.write_text(SCENARIO.format(channels=channels, devices=devices, size=total // devices))
    out = folder / "out"
    command = [sys.executable, "-m", "migemu", "run", str(config), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    rate = json.loads((out / "result.json").read_text())["throughput"]["device_state"]
    assert isinstance(rate, float)
    return rate


def iperf3(streams: int) -> float:
    """Bytes per second received by iperf3 with `streams` connections."""
    server = subprocess.Popen(
        ["iperf3", "-s", "-1", "-p", str(PORT), "--forceflush"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        while "listening" not in server.stdout.readline():
            pass
        client = ["iperf3", "-c", "127.0.0.1", "-p", str(PORT), "-P", str(streams), "-l", "1M", "-J"]
        done = subprocess.run([*client, "-t", str(IPERF_SECONDS)], capture_output=True, text=True, check=True)
    finally:
        server.kill()
        server.communicate()
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 8


def measure(channels: int, pairs: int, devices: int, total: int) -> tuple[list[float], list[float]]:
    """`pairs` interleaved measurements of both, after one of each to warm up."""
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="migemu-bench-") as scratch:
        for pair in range(pairs + 1):
            if pair % 2:
                ours.append(migemu(channels, devices, total, Path(scratch)))
            theirs.append(iperf3(channels))
            if not pair % 2:
                ours.append(migemu(channels, devices, total, Path(scratch)))
    return ours[1:], theirs[1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--channels", default="1,4,8,16")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--total", type=int, default=4 << 30, help="bytes of device state")
    asked = parser.parse_args()
    if shutil.which("iperf3") is None:
        raise SystemExit("needs iperf3 (apt-get install iperf3)")
    print(f"{asked.devices} devices, {asked.total / 2**30:g} GiB in all, {asked.pairs} pairs; GB/s")
    print("channels   migemu               iperf3 -P N          ratio")
    for channels in map(int, asked.channels.split(",")):
        ours, theirs = measure(channels, asked.pairs, asked.devices, asked.total)
        a, b, ratio = median_interval(ours, 1), median_interval(theirs, 1), ratio_interval(ours, theirs, 1)
        print(
            f"{channels:8d}   {a.median / 1e9:5.2f} [{a.low / 1e9:.2f}, {a.high / 1e9:.2f}]   "
            f"{b.median / 1e9:5.2f} [{b.low / 1e9:.2f}, {b.high / 1e9:.2f}]   "
            f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
