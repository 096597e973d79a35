"""Does the shape of the load matter: many channels, many devices, small packets, a small queue.

    .venv/bin/python benchmarks/shapes.py [--rounds 10] [--scale 1.0] [--only NAME,...]

Every round runs each shape once, in an order drawn anew, as two processes over loopback with verification on
and a device model that costs nothing. What counts is a shape's rate over that of the shape it is held against
in the same round; the peak memory of either side is the kernel's own figure (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from migemu.observe.stats import median_interval, ratio_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB = 1 << 20
SCENARIO = """
name = "shapes"
[platform]
needs_interrupt_controller = false
interrupt_controller_load_time = "0 ms"
[ram]
size = "4 MiB"
working_set = "4 MiB"
[migration]
channels = {channels}
packet_size = {packet}
[limits]
queue_per_device = {cap}
queue_total = {cap}
on_cap = "pause"
events = 1000
[[device]]
count = {devices}
{state}
config_size = "4 KiB"
"""


@dataclass(frozen=True)
class Shape:
    """One load, and the shape it is held against."""

    channels: int = 4
    devices: int = 4
    each: int = 256 * MIB
    packet: int = MIB
    cap: int = 256 * MIB
    against: str = "4 channels"
    mapped: bool = False


SHAPES = {
    **{f"{count} channels": Shape(channels=count) for count in (1, 2, 4, 8, 16, 32, 64, 255)},
    "64 devices of 16 MiB": Shape(devices=64, each=16 * MIB),
    "4 KiB packets": Shape(packet=4096, each=32 * MIB),
    "8 GiB in files": Shape(each=2048 * MIB, mapped=True),
    "8 GiB in files under a cap of 128 MiB": Shape(
        each=2048 * MIB, cap=128 * MIB, against="8 GiB in files", mapped=True
    ),
}


@dataclass(frozen=True)
class Measured:
    """Of one run: bytes per second, and peak resident bytes of source and destination."""

    rate: float
    source: int
    destination: int


def peak(pid: int) -> int:
    """VmHWM of a process, in bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


class Side:
    """One process, its events as they come."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "migemu", *arguments, "--json"]
        # A session for each side, as `migemu run` has it: the kernel shares processors out by session.
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.events: list[dict[str, object]] = []
        self.peak = 0
        self.listening = threading.Event()
        self.address = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line) if line.startswith("{") else {"event": "said", "text": line}
            self.events.append(event)
            self.peak = max(self.peak, peak(self.process.pid))
            if event["event"] == "listening":
                self.address = f"{event['host']}:{event['port']}"
                self.listening.set()

    def end(self) -> None:
        """Wait for its end; a failed run ends the benchmark."""
        if self.process.wait(300):
            raise SystemExit(f"a run failed: {self.events[-3:]}")
        self._reader.join(10)


def times(side: Side, event: str) -> list[float]:
    """When `event` happened."""
    return [float(str(told["t"])) for told in side.events if told["event"] == event]


def measure(shape: Shape, scale: float, folder: Path) -> Measured:
    """One verified migration of this shape."""
    size = max(MIB, int(shape.each * scale) // MIB * MIB)
    state = f'state = "{image(folder, size)}"' if shape.mapped else f"state_size = {size}"
    config = folder / "shape.toml"
    config.write_text(
        SCENARIO.format(
            channels=shape.channels, packet=shape.packet, cap=shape.cap, devices=shape.devices, state=state
        )
    )
    destination = Side("destination", str(config), "--listen", "127.0.0.1:0")
    if not destination.listening.wait(30):
        raise SystemExit(f"no destination: {destination.events}")
    source = Side("source", str(config), "--connect", destination.address)
    source.end()
    destination.end()
    began = min(times(source, "vfio_save_complete_precopy_thread_start"))
    ended = max(times(destination, "vfio_load_bufs_thread_end"), default=0.0)
    return Measured(shape.devices * size / (ended - began), source.peak, destination.peak)


def image(folder: Path, size: int) -> Path:
    """A file of random bytes, made once."""
    path = folder / f"state-{size}"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
    return path


def rounds(names: Sequence[str], count: int, scale: float, folder: Path) -> dict[str, list[Measured]]:
    """Each shape once a round; the first round warms up."""
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(count + 1):
        for name in random.sample(names, len(names)):
            measured = measure(SHAPES[name], scale, folder)
            if number:
                found[name].append(measured)
    return found


def tell(name: str, found: dict[str, list[Measured]]) -> None:
    """A line of the table."""
    shape, runs = SHAPES[name], found[name]
    rates = [run.rate for run in runs]
    middle = median_interval(rates, 1).median
    against = [run.rate for run in found.get(shape.against, [])]
    ratio = ratio_interval(rates, against, 1) if against and shape.against != name else None
    told = (
        "" if ratio is None else f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}] of {shape.against}"
    )
    packets = f"{middle / shape.packet:,.0f} packets/s" if shape.packet < MIB else ""
    source, destination = (
        max(getattr(run, side) for run in runs) >> 20 for side in ("source", "destination")
    )
    print(
        f"{name:28} {middle / 1e9:5.2f} GB/s  {source:4d} + {destination:4d} MiB  {told} {packets}".rstrip()
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0, help="of the state's size")
    parser.add_argument("--only", help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--folder", default="/dev/shm", help="where image files are put")  # noqa: S108  memory
    asked = parser.parse_args()
    names = list(SHAPES) if asked.only is None else asked.only.split(",")
    with tempfile.TemporaryDirectory(prefix="migemu-bench-", dir=asked.folder) as scratch:
        found = rounds(names, asked.rounds, asked.scale, Path(scratch))
    print(f"{asked.rounds} rounds; rate, peak memory of source + destination, ratio with its 95 % interval")
    for name in names:
        tell(name, found)


if __name__ == "__main__":
    main()
