"""What the catalogue's scenarios send, where it is not what the stock scenario's source would."""

from __future__ import annotations

import numpy as np

from migemu.lab.system_traffic import Delivery, pages
from migemu.ram.guest import PAGE_SIZE
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
