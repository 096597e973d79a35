"""What a tap costs: two real QEMUs migrate RAM with and without one between them, in turns.

    .venv/bin/python -m benchmarks.tap [--size MIB] [--channels 0,4] [--pairs 10] [--bandwidth MIB]

Prints, for each channel count, both medians and the ratio of throughputs within each pair: its median and
its quartiles. Everything runs on this machine's processors, the QEMUs' threads too, so on few of them the tap
takes away what the migration needs; --bandwidth limits the source to what a network would carry.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.turns import in_turns

from migemu.qemu import binary, migration
from migemu.qemu.memory import SharedRam
from migemu.qemu.peer_bare import bare
from migemu.qemu.tap import through
from migemu.qemu.tap_watch import Watch
from migemu.qemu.translate import UNLIMITED

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher

LIMIT = 120.0
"""Seconds a migration may take."""


async def migrate(
    launcher: Launcher,
    source: SharedRam,
    destination: SharedRam,
    channels: int,
    bandwidth: int = UNLIMITED,
    *,
    tapped: bool,
) -> float:
    """Migrate once; bytes a second."""
    watch = Watch()
    between = through(watch) if tapped else contextlib.nullcontext
    with tempfile.TemporaryDirectory(prefix="migemu-tap-") as scratch:
        folder = Path(scratch)
        async with (
            bare(launcher, folder, source, "source", channels=channels) as one,
            bare(launcher, folder, destination, "destination", channels=channels) as other,
        ):
            await migration.set_parameters(one, {"max_bandwidth": bandwidth})
            async with between(await migration.listen(other)) as address:
                await migration.start(one, address)
                told = await migration.wait(one, LIMIT)
                migration.require_completed(one, told)
            assert not tapped or (watch.completed and not watch.unseen), watch.unseen
    return source.size / (float(told["total-time"]) / 1000)


def measure(launcher: Launcher, size: int, channels: int, pairs: int, bandwidth: int) -> None:
    """One line of the result."""
    with SharedRam(size, "ram0") as source, SharedRam(size, "ram0") as destination:
        source.fill(1, zero_fraction=0.0)
        destination.words[:] = 1  # its pages are there: the first touch would cost more than the copy

        def once(*, tapped: bool) -> float:
            rate = asyncio.run(migrate(launcher, source, destination, channels, bandwidth, tapped=tapped))
            assert not len(source.differing(destination))
            return rate

        found = in_turns(pairs, partial(once, tapped=False), partial(once, tapped=True), warm=1)
    plain, through_tap = [rate for rate, _ in found], [rate for _, rate in found]
    ratios = [tapped / rate for rate, tapped in found]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{channels:3d} channels: {statistics.median(plain) / 2**20:7.0f} MiB/s without, "
        f"{statistics.median(through_tap) / 2**20:7.0f} MiB/s through the tap; "
        f"ratio {middle:.2f} ({low:.2f} to {high:.2f}) of {pairs} pairs"
    )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, help="MiB of RAM, none of it zero")
    parser.add_argument("--channels", default="0,1,4,8", help="multifd channels; 0: multifd is off")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--qemu", help="the program, or the folder it was unpacked into")
    parser.add_argument("--bandwidth", type=int, help="MiB/s the source may send; no limit if left out")
    asked = parser.parse_args()
    bandwidth = UNLIMITED if asked.bandwidth is None else asked.bandwidth << 20
    launcher = binary.find(asked.qemu)
    print(f"QEMU {launcher.version_text}, {asked.size} MiB of RAM")
    for channels in map(int, asked.channels.split(",")):
        measure(launcher, asked.size << 20, channels, asked.pairs, bandwidth)


if __name__ == "__main__":
    main()
