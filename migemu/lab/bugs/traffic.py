"""What the catalogue's scenarios send, where it is not what the stock scenario's source would."""

from __future__ import annotations

import json

import numpy as np

from migemu import __version__
from migemu.lab.system_stream import Burst, burst
from migemu.lab.system_traffic import Delivery, pages
from migemu.ram import PageDigests
from migemu.ram.guest import PAGE_SIZE
from migemu.wire import extension, records
from migemu.wire.buffers import Buffer
from migemu.wire.multifd import NO_OFFSETS, RamPacket, ram_packet

A = "0000:00:01.0/vfio"
B = "0000:00:02.0/vfio"
"""The stock scenario's devices."""


def page(number: int, content: int) -> Delivery:
    """One page of guest RAM, every byte of it `content`."""

    def make() -> RamPacket:
        data = Buffer.copy_of(bytes([content]) * PAGE_SIZE)
        return ram_packet("pc.ram", np.array([number * PAGE_SIZE], np.uint64), NO_OFFSETS, 0, data)

    return pages(f"page {number} as {content:#04x}", make)


def announcement() -> Burst:
    """The source says that it is a migemu."""
    said = extension.encode_announcement(__version__, extension.FEATURES)
    return burst("EXTENSION", records.Command(extension.CMD_EXTENSION, said))


def digests(*contents: int) -> Burst:
    """What a source without devices says it saved: RAM whose pages are filled with these bytes."""
    saved = PageDigests(len(contents), "source")
    rows = np.repeat(np.array(contents, np.uint8)[:, None], PAGE_SIZE, axis=1)
    saved.update(np.arange(len(contents)), rows)
    whole = json.dumps({"devices": {}, "ram": saved.digest()}).encode()
    parts = [records.Command(extension.CMD_DIGESTS, part) for part in extension.split_parts(whole)]
    return burst("DIGESTS", *parts)


def start() -> Burst:
    """The source gives up its VM."""
    return burst("START", records.Command(extension.CMD_START, b""))
