"""A real QEMU's multifd beside ours: the same number of non-zero bytes, channels and loopback, in turns.

    .venv/bin/python -m benchmarks.qemu_multifd [--qemu PATH] [--channels 4,8] [--pairs 10] [--size MIB]

QEMU migrates RAM without a zero page, which is what its multifd channels are made for, from one QEMU to
another of the same version; it reports bytes and time itself and checks nothing. migemu moves as many bytes
of device state, digests taken at both ends and compared.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.shapes import MIB, Shape, measure
from benchmarks.tap import migrate
from benchmarks.turns import in_turns

from migemu.observe.stats import median_interval, ratio_interval
from migemu.qemu import binary
from migemu.qemu.memory import SharedRam

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher


def pairs(launcher: Launcher, channels: int, count: int, size: int) -> tuple[list[float], list[float]]:
    """Bytes per second of migemu and of QEMU, `count` of each in alternating order, after one to warm up."""
    shape = Shape(channels=channels, each=size // 4)
    with (
        tempfile.TemporaryDirectory(prefix="migemu-bench-") as scratch,
        SharedRam(size, "ram0") as source,
        SharedRam(size, "ram0") as destination,
    ):
        source.fill(1, zero_fraction=0.0)
        destination.words[:] = 1  # its pages are there: the first touch would cost more than the copy
        found = in_turns(
            count,
            lambda: measure(shape, 1.0, Path(scratch)).rate,
            lambda: asyncio.run(migrate(launcher, source, destination, channels, tapped=False)),
            warm=1,
        )
    return [ours for ours, _ in found], [theirs for _, theirs in found]


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--qemu", help="the program, or the folder it was unpacked into")
    parser.add_argument("--channels", default="4,8")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    asked = parser.parse_args()
    launcher = binary.find(asked.qemu)
    print(f"QEMU {launcher.version_text}, {asked.size} MiB, {asked.pairs} pairs; GB/s")
    for channels in map(int, asked.channels.split(",")):
        ours, theirs = pairs(launcher, channels, asked.pairs, asked.size * MIB)
        a, b, ratio = median_interval(ours, 1), median_interval(theirs, 1), ratio_interval(ours, theirs, 1)
        print(
            f"{channels:3d} channels: migemu {a.median / 1e9:.2f}, QEMU {b.median / 1e9:.2f}, "
            f"ratio {ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
