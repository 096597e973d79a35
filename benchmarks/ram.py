"""How fast guest pages leave and land, on one thread: GB/s of guest memory, best of several passes.

Run it from the project's root: ``python benchmarks/ram.py [--size MIB] [--passes N]``. To reach: 5 GB/s for
gathering and for placing, zero test and digests included, and 2 GB/s for making the content.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import numpy as np

from migemu.ram import GuestRam, PageDigests, RamLoad, batches, full_digest
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt


def show(what: str, size: int, passes: int, work: Callable[[], object]) -> None:
    best = float("inf")
    for _ in range(passes):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    print(f"{what:<58}{size / best / 1e9:7.1f} GB/s")


def gather(ram: GuestRam, digests: PageDigests, pool: HeapPool, pages: npt.NDArray[np.int64]) -> None:
    for batch in batches(ram, pages, digests, pool):
        if batch.pages is not None:
            batch.pages.release()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="MiB of RAM")
    parser.add_argument("--passes", type=int, default=5)
    arguments = parser.parse_args()
    size, passes = arguments.size << 20, arguments.passes
    source, pool = GuestRam.of_size(size), HeapPool(keep=16 << 20)
    sent, every = PageDigests(size >> 12, "source"), np.arange(size >> 12)
    half = np.sort(np.random.default_rng(1).permutation(every)[: len(every) // 2])

    show("fill, first touch", size, 1, lambda: source.fill(1))
    show("fill, memory already there", size, passes, lambda: source.fill(1, 0.2))
    show(
        "gather + zero test + digest, all pages, 20 % zero",
        size,
        passes,
        lambda: gather(source, sent, pool, every),
    )
    show(
        "gather + zero test + digest, every other page",
        size // 2,
        passes,
        lambda: gather(source, sent, pool, half),
    )
    source.fill(1)
    show(
        "gather + zero test + digest, all pages, none zero",
        size,
        passes,
        lambda: gather(source, sent, pool, every),
    )

    target = GuestRam.of_size(size)
    placed = PageDigests(size >> 12, "destination")
    load = RamLoad(target, placed)
    offsets = [batch.normal_offsets for batch in batches(source, every, sent, pool)]
    # One packet's bytes again and again: they come hot, as from the socket a moment ago.
    data = memoryview(bytes(source.view[: len(offsets[0]) << 12]))

    def land() -> None:
        for normal in offsets:
            load.place("pc.ram", normal, data)

    show("place + digest, first touch", size, 1, land)
    show("populate", size, 1, GuestRam.of_size(size).populate)
    show("place + digest, memory already there", size, passes, land)
    show("full digest", size, passes, lambda: full_digest(target))


if __name__ == "__main__":
    main()
