"""How fast the readers turn bytes into packets and records, on one thread.

The bytes come out of memory, copied to wherever the reader asks for them as a socket would; the time of that
copy is shown apart, because on a connection it is the kernel's. To reach: 150,000 packets/s of 4 KiB, and
so little time per large packet that the copy out of the socket is all that counts.

Run it from the project's root: ``python benchmarks/wire.py [--size MIB] [--passes N]``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire import vfio
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader
from migemu.wire.multifd import encode_device_header, encode_ram_header, ram_packet, sync_packet
from migemu.wire.reader import PacketReader

Make = type[MainReader] | type[PacketReader]

READ = 1 << 18
"""Bytes a socket gives at most at one time."""
DEVICE = "0000:00:01.0/vfio"
ITEMS = 2 << 20
"""Bytes of items that are made once and fed over and over."""


@dataclass
class Pass:
    """One run over a stream."""

    items: int = 0
    seconds: float = 0.0
    copying: float = 0.0


def feed(reader: MainReader | PacketReader, data: memoryview, run: Pass) -> None:
    """Feed `data` as a connection would, giving every payload back at once."""
    at = 0
    while at < len(data):
        room = reader.get_buffer()
        count = min(len(room), len(data) - at, READ)
        began = time.perf_counter()
        room[:count] = data[at : at + count]
        run.copying += time.perf_counter() - began
        at += count
        found: list[Any] = list(reader.received(count))
        while isinstance(reader, PacketReader) and reader.parked:
            found += reader.resume()
        run.items += len(found)
        for item in found:
            payload = getattr(item, "data", None) or getattr(item, "pages", None)
            if payload is not None and not isinstance(payload, bytes):
                payload.release()


def measure(make: Make, head: bytes, body: bytes, size: int) -> Pass:
    """Feed `body` until `size` bytes have gone through a fresh reader."""
    reader = make(HeapPool())
    reader.feed(head)
    run = Pass()
    repeated = memoryview(body * max(1, ITEMS // len(body)))
    began = time.perf_counter()
    for _ in range(max(1, size // len(repeated))):
        feed(reader, repeated, run)
    run.seconds = time.perf_counter() - began
    return run


def device(size: int) -> bytes:
    return encode_device_header(DEVICE, 0, 1, 0, size) + bytes(size)


def ram(pages: int) -> bytes:
    offsets = np.arange(pages, dtype=np.uint64) * np.uint64(4096)
    return encode_ram_header(ram_packet("ram0", offsets, offsets[:0], 1)) + bytes(4096 * pages)


MAIN_HEAD = (
    w.file_header()
    + w.configuration("none")
    + w.section_start(1, DEVICE, 0, 1)
    + w.vfio_word(vfio.END_OF_STATE)
    + w.footer(1)
    + w.section_start(2, "ram", 0, 4)
    + w.ram_blocks([r.RamBlock("ram0", 1 << 20)])
)
TO_DEVICE = w.ram_eos() + w.footer(2) + w.section_part(1)

STREAMS: list[tuple[str, Make, bytes, bytes]] = [
    *((f"device state, {n} bytes", PacketReader, b"", device(n)) for n in (64, 4096, 16384, 65536, 1 << 20)),
    *((f"RAM packet, {n} pages", PacketReader, b"", ram(n)) for n in (1, 16, 128)),
    ("SYNC", PacketReader, b"", encode_ram_header(sync_packet(1))),
    ("main: RAM page", MainReader, MAIN_HEAD, w.ram_page_header("ram0", 0) + bytes(4096)),
    ("main: zero page", MainReader, MAIN_HEAD, w.ram_zero("ram0", 0)),
    (
        "main: VFIO data, 1 MiB",
        MainReader,
        MAIN_HEAD + TO_DEVICE,
        w.vfio_data_header(1 << 20) + bytes(1 << 20),
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="MiB that go through in one pass (default 256)")
    parser.add_argument("--passes", type=int, default=3, help="passes, of which the best counts (default 3)")
    options = parser.parse_args()
    print(f"{'':<28}{'items/s':>12}{'GB/s':>8}{'us/item':>10}{'without copy in':>17}")
    for name, make, head, body in STREAMS:
        size = min(options.size << 20, 400_000 * len(body))
        runs = [measure(make, head, body, size) for _ in range(options.passes)]
        best = min(runs, key=lambda run: run.seconds)
        rate = best.items / best.seconds
        parsing = (best.seconds - best.copying) / best.items * 1e6
        print(f"{name:<28}{rate:12,.0f}{rate * len(body) / 1e9:8.2f}{1e6 / rate:10.2f}{parsing:17.2f}")


if __name__ == "__main__":
    main()
