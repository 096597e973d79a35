"""Multifd channels: socket bytes to packets.

The reader stops at two places and says so. At SYNC (`parked`): no packet behind it may be looked at until
the main channel's barrier word has been passed, or a page of the next round could be overwritten by an
older copy that is still in another channel. And where `admit` refuses a device-state packet (`blocked`),
before any memory is taken for it. In both cases the caller pauses reading and later calls `resume`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from migemu.errors import WireError
from migemu.wire.hello import MULTIFD_MAGIC, MULTIFD_VERSION
from migemu.wire.limits import DEFAULT_LIMITS
from migemu.wire.multifd import (
    COMMON,
    COMPRESSION,
    DEVICE_HEADER,
    DEVICE_HEADER_SIZE,
    DEVICE_STATE,
    OFFSETS_AT,
    PAGE_SIZE,
    RAM_HEADER,
    SYNC,
    DevicePacket,
    DevicePacketHeader,
    Packet,
    RamPacket,
    pages_per_packet,
    ram_header_size,
)
from migemu.wire.stream import BETWEEN, StreamReader
from migemu.wire.text import padded_name
from migemu.wire.vfio import VFIO_HEADER, VFIO_HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.wire.buffers import Pool
    from migemu.wire.limits import WireLimits

COMMON_SIZE: Final = COMMON.size
NAMES_KEPT: Final = 256
"""Names a reader remembers decoded; a hostile peer's ever new ones only make it decode again."""


class PacketReader(StreamReader[Packet]):
    """Reads one multifd channel behind its hello.

    Attributes:
        parked: a SYNC was the last packet; nothing is parsed until `resume`.
        blocked: `admit` refused the next packet; `resume` asks again.
        packets: packets handed out so far.

    Args:
        pool: where page bytes and device state are put.
        limits: what a packet may announce.
        admit: asked for each device-state packet, once its header is known and before memory is taken.
        page_size: bytes; the machine's.
    """

    def __init__(
        self,
        pool: Pool,
        limits: WireLimits = DEFAULT_LIMITS,
        admit: Callable[[DevicePacketHeader], bool] | None = None,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._ram_size = ram_header_size(page_size)
        super().__init__(pool, window=self._ram_size)
        self.parked = False
        self.blocked = False
        self.packets = 0
        self._limits = limits
        self._admit = admit
        self._page_size = page_size
        self._slots = pages_per_packet(page_size)
        self._names: dict[bytes, str] = {}

    def _held(self) -> bool:
        return self.parked or self.blocked

    def resume(self) -> list[Packet]:
        """Go on behind the SYNC, or ask `admit` again; the packets that are complete now.

        Raises:
            WireError: as `received`.
            LimitError: as `received`.
        """
        self.parked = self.blocked = False
        return self._advance()

    def _parse(self) -> Iterator[str]:
        intake = self._intake
        while True:
            while intake.end - intake.start < COMMON_SIZE:
                yield BETWEEN
            magic, version, flags = COMMON.unpack_from(intake.view, intake.start)
            if magic != MULTIFD_MAGIC or version != MULTIFD_VERSION:
                raise _foreign(magic, version)
            if flags & DEVICE_STATE:
                yield from self._device_packet(flags)
            else:
                yield from self._ram_packet(flags)
            self.packets += 1
            if flags & SYNC:
                self.parked = True
                yield BETWEEN

    def _device_packet(self, flags: int) -> Iterator[str]:
        if flags & (SYNC | COMPRESSION):
            raise WireError(f"a DEVICE_STATE packet with flags {flags:#x}, expected {DEVICE_STATE:#x} alone")
        intake = self._intake
        while intake.end - intake.start < DEVICE_HEADER_SIZE:
            yield "a DEVICE_STATE packet's header"
        _, _, _, raw, instance, payload = DEVICE_HEADER.unpack_from(intake.view, intake.start)
        device = self._names.get(raw) or self._name(raw, "multifd device state idstr")
        if payload < VFIO_HEADER_SIZE:
            raise _too_short(device, payload)
        while intake.end - intake.start < DEVICE_HEADER_SIZE + VFIO_HEADER_SIZE:
            yield "a device state's header"
        version, idx, marks = VFIO_HEADER.unpack_from(intake.view, intake.start + DEVICE_HEADER_SIZE)
        size = payload - VFIO_HEADER_SIZE
        if size > self._limits.max_payload:
            self._limits.check("max_payload", size, f"{device} idx {idx}: device state size")
        intake.start += DEVICE_HEADER_SIZE + VFIO_HEADER_SIZE
        header = DevicePacketHeader(device, instance, version, idx, marks, size)
        while self._admit is not None and not self._admit(header):
            self.blocked = True
            yield "a DEVICE_STATE packet that was not admitted"
        while (data := intake.payload(size)) is None:
            yield "a DEVICE_STATE packet's data"
        self._out.append(DevicePacket(device, instance, version, idx, marks, data))

    def _ram_packet(self, flags: int) -> Iterator[str]:
        intake = self._intake
        while intake.end - intake.start < self._ram_size:
            yield "a RAM packet's header"
        begin = intake.start
        _, _, _, allocated, normal, following, number, zero, raw = RAM_HEADER.unpack_from(intake.view, begin)
        self._check_counts(allocated, normal, zero)
        block = self._names.get(raw) or self._name(raw, "multifd ram block id")
        table = np.frombuffer(intake.view, ">u8", self._slots, begin + OFFSETS_AT).astype(np.uint64)
        size = self._following(flags, normal, following)
        intake.start = begin + self._ram_size
        pages = None
        if size:
            while (pages := intake.payload(size)) is None:
                yield "a RAM packet's pages"
        offsets = table[:normal], table[normal : normal + zero]
        counts = number, allocated, following
        self._out.append(RamPacket(flags, block, self._page_size, *offsets, *counts, pages, table))

    def _check_counts(self, allocated: int, normal: int, zero: int) -> None:
        most = self._slots
        if allocated > most:
            raise WireError(f"received packet with {allocated} pages, expected {most}")
        if normal > most:
            raise WireError(f"received packet with {normal} non-zero pages, which exceeds maximum {most}")
        if zero > most - normal:
            raise WireError(f"received packet with {zero} zero pages, expected maximum {most - normal}")

    def _following(self, flags: int, normal: int, announced: int) -> int:
        """Bytes behind a RAM header: by the page count, because 7.2 leaves stale sizes in empty packets."""
        if not normal:
            return 0
        if not flags & COMPRESSION:
            return normal * self._page_size
        return self._limits.check("max_payload", announced, "compressed RAM packet size")

    def _name(self, raw: bytes, what: str) -> str:
        if len(self._names) >= NAMES_KEPT:
            self._names.clear()
        name = self._names[raw] = padded_name(raw, what)
        return name


def _foreign(magic: int, version: int) -> WireError:
    if magic != MULTIFD_MAGIC:
        return WireError(f"received packet magic {magic:x}, expected {MULTIFD_MAGIC:x}")
    return WireError(f"received packet version {version}, expected {MULTIFD_VERSION}")


def _too_short(device: str, payload: int) -> WireError:
    if not payload:
        return WireError("received empty device state packet", device=device)
    return WireError(f"packet too short at {payload} (min is {VFIO_HEADER_SIZE})", device=device)
