"""A multifd channel read for what its packets are, not for what they carry.

As :class:`~migemu.wire.reader.PacketReader`, but a packet costs microseconds, however large: of what went by
only the headers are looked at, payloads and page offsets are stepped over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.errors import MigemuError, TruncatedError, WireError
from migemu.wire.hello import MULTIFD_MAGIC, MULTIFD_VERSION
from migemu.wire.multifd import (
    COMMON,
    COMPRESSION,
    DEVICE_HEADER,
    DEVICE_HEADER_SIZE,
    DEVICE_STATE,
    PAGE_SIZE,
    RAM_HEADER,
    SYNC,
    DevicePacket,
    RamPacket,
    pages_per_packet,
    ram_header_size,
)
from migemu.wire.text import padded_name
from migemu.wire.vfio import FLAG_CONFIG, VFIO_HEADER, VFIO_HEADER_SIZE

if TYPE_CHECKING:
    from migemu.wire.limits import WireLimits

HEADER_SIZE: Final = ram_header_size(PAGE_SIZE)
DEVICE_SIZE: Final = DEVICE_HEADER_SIZE + VFIO_HEADER_SIZE
NAMES_KEPT: Final = 256


class RamSeen(NamedTuple):
    """A RAM packet, or a SYNC without pages."""

    number: int
    block: str
    pages: int
    zero: int
    bytes: int
    """With its header."""
    sync: bool


class DeviceSeen(NamedTuple):
    """A device-state packet."""

    device: str
    idx: int
    bytes: int
    """Of its data."""
    config: bool


PacketSeen = RamSeen | DeviceSeen


def of_packet(packet: RamPacket | DevicePacket) -> PacketSeen:
    """The same of a packet that was read whole."""
    if isinstance(packet, DevicePacket):
        return DeviceSeen(packet.device, packet.idx, len(packet.data), packet.is_config)
    pages = len(packet.normal)
    size = HEADER_SIZE + (0 if packet.pages is None else len(packet.pages))
    sync = bool(packet.flags & SYNC)
    return RamSeen(packet.packet_num, packet.block, pages, len(packet.zero), size, sync)


class SkimmingChannel:
    """Reads one multifd channel behind its hello.

    Args:
        limits: what a packet may announce.

    Attributes:
        salvaged: what was complete in the call that raised.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._head = bytearray()
        self._skip = 0
        self._pending: PacketSeen | None = None
        self._names: dict[bytes, str] = {}
        self.salvaged: list[PacketSeen] = []

    def feed(self, view: memoryview) -> list[PacketSeen]:
        """What the next bytes complete.

        Raises:
            WireError: they break the protocol.
            LimitError: they announce too much.
        """
        done: list[PacketSeen] = []
        try:
            self._walk(view, done)
        except MigemuError:
            self.salvaged = done
            raise
        return done

    def _walk(self, view: memoryview, done: list[PacketSeen]) -> None:
        """From header to header, over the payloads in between."""
        at, end = 0, len(view)
        while at < end:
            if self._pending is not None:
                step = min(self._skip, end - at)
                at += step
                self._skip -= step
            else:
                at += self._header(view, at)
            if self._pending is not None and not self._skip:
                done.append(self._pending)
                self._pending = None

    def _header(self, view: memoryview, at: int) -> int:
        """Read the header at `at`, if all of it is here; how many bytes of it were."""
        before = len(self._head)
        self._head += view[at : at + COMMON.size - before] if before < COMMON.size else b""
        if len(self._head) < COMMON.size:
            return len(self._head) - before
        magic, version, flags = COMMON.unpack_from(self._head)
        if magic != MULTIFD_MAGIC or version != MULTIFD_VERSION:
            raise WireError(f"no packet begins with {magic:#x}, version {version}")
        size = DEVICE_SIZE if flags & DEVICE_STATE else HEADER_SIZE
        taken = len(self._head) - before
        self._head += view[at + taken : at + size - before]
        read = len(self._head) - before
        if len(self._head) == size:
            self._pending = self._device() if flags & DEVICE_STATE else self._ram(flags)
            self._head.clear()
        return read

    def _device(self) -> DeviceSeen:
        _, _, _, raw, _, payload = DEVICE_HEADER.unpack_from(self._head)
        _, idx, marks = VFIO_HEADER.unpack_from(self._head, DEVICE_HEADER_SIZE)
        device = self._name(raw)
        if payload < VFIO_HEADER_SIZE:
            raise WireError(f"packet too short at {payload} (min is {VFIO_HEADER_SIZE})", device=device)
        self._skip = self._limits.check("max_payload", payload - VFIO_HEADER_SIZE, f"{device} idx {idx}")
        return DeviceSeen(device, idx, self._skip, bool(marks & FLAG_CONFIG))

    def _ram(self, flags: int) -> RamSeen:
        _, _, _, _, normal, following, number, zero, raw = RAM_HEADER.unpack_from(self._head)
        if normal + zero > pages_per_packet(PAGE_SIZE):
            raise WireError(f"received packet with {normal} non-zero and {zero} zero pages")
        size = normal * PAGE_SIZE
        if normal and flags & COMPRESSION:
            size = self._limits.check("max_payload", following, "compressed RAM packet size")
        self._skip = size
        return RamSeen(number, self._name(raw), normal, zero, HEADER_SIZE + size, bool(flags & SYNC))

    def _name(self, raw: bytes) -> str:
        name = self._names.get(raw)
        if name is None:
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            name = self._names[raw] = padded_name(raw, "a packet's name")
        return name

    def ended(self) -> None:
        """The connection is closed.

        Raises:
            TruncatedError: inside a packet.
        """
        if self._pending is not None:
            raise TruncatedError(f"the stream ended inside a packet, {self._skip} bytes before its end")
        if self._head:
            raise TruncatedError("the stream ended inside a packet's header")
