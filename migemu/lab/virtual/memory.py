"""Guest RAM of a virtual run: how many pages are dirty when, and what passing them costs; none is moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.ram.guest import PAGE_SIZE
from migemu.source.channels import Packet
from migemu.source.ramsend import Pass, SyncSender
from migemu.vfio.content import Loose
from migemu.wire.multifd import ram_header_size

if TYPE_CHECKING:
    from migemu.link.pacing import Pacer
    from migemu.scenario import Scenario
    from migemu.source.channels import SendChannels
    from migemu.threads.api import Threads
    from migemu.wire.multifd import RamPacket

BLOCK = "virtual"
"""The RAM block of a virtual run."""
PAGES_PER_PACKET = 128
HEADER = bytes(ram_header_size())


class RamPayload:
    """The pages of one packet, by their number.

    Args:
        pages: that travel.
        zero: that are only said to be zero.
        packet: its number.
    """

    __slots__ = ("packet", "pages", "zero")

    def __init__(self, pages: int, zero: int, packet: int) -> None:
        self.pages = pages
        self.zero = zero
        self.packet = packet

    def __len__(self) -> int:
        return self.pages * PAGE_SIZE

    def release(self) -> None:
        """Nothing to give back."""


class Carried(Loose):
    """A span on its way, in the place of a pooled buffer."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self.view)


class VirtualRam:
    """RAM that is only said to exist; stands for :class:`~migemu.ram.GuestRam` on both sides."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.blocks: tuple[Any, ...] = ()

    def close(self) -> None:
        """Nothing to give back."""


class VirtualGuest:
    """The writer and the dirty log at once: pages written since the last look, by rate and working set."""

    def __init__(self, scenario: Scenario, threads: Threads) -> None:
        ram = scenario.ram
        size = ram.total_size()
        self._threads = threads
        self._rate = ram.dirty_rate / PAGE_SIZE
        self._set = min(size, size if ram.working_set is None else ram.working_set) / PAGE_SIZE
        self._base = size / PAGE_SIZE
        self._since: float | None = None

    def start(self) -> None:
        """The guest runs and writes."""
        if self._since is None:
            self._since = self._threads.now()

    def stop(self) -> None:
        """Nothing is written any more."""
        self._base, self._since = self._dirty(), None

    def count(self) -> int:
        """How many pages are dirty now."""
        return int(self._dirty())

    def fetch_and_clear(self) -> int:
        """How many pages were dirty; none is from now on."""
        count = self.count()
        running = self._since is not None
        self._base, self._since = 0.0, self._threads.now() if running else None
        return count

    def _dirty(self) -> float:
        written = 0.0 if self._since is None else (self._threads.now() - self._since) * self._rate
        return max(self._base, min(self._base + written, self._set))


class NoDigest:
    """RAM without bytes has one digest; what is lost on the way shows in the counts of pages."""

    def __init__(self) -> None:
        self.pages = 0

    def digest(self) -> str:
        """How many pages went by."""
        return f"virtual:{self.pages}"


class VirtualRamSender(SyncSender):
    """Stands for :class:`~migemu.source.ramsend.RamSender`: packets of the right number and size."""

    def __init__(
        self,
        scenario: Scenario,
        threads: Threads,
        guest: VirtualGuest,
        channels: SendChannels,
        pace: Pacer | None,
    ) -> None:
        super().__init__(threads, channels)
        self._pace = pace
        self._zero = scenario.ram.zero_fraction
        self.ram = VirtualRam(scenario.ram.total_size())
        self.dirty = guest
        self.digests = NoDigest()
        self.bytes = 0

    def send_dirty(self, *, paced: bool) -> Pass:
        """Send every page that is dirty now, once."""
        done = Pass()
        left = self.dirty.fetch_and_clear()
        while left > 0:
            pages = min(left, PAGES_PER_PACKET)
            left -= pages
            self._send(pages, done, paced=paced)
        return done

    def _send(self, pages: int, done: Pass, *, paced: bool) -> None:
        zero = round(pages * self._zero)
        payload: Any = RamPayload(pages - zero, zero, self.packets)
        packet = Packet(HEADER, payload)
        size = len(packet)
        if paced and self._pace is not None:
            self._threads.sleep(self._pace.delay(self._threads.now(), size))
        channel = self._channels.send(packet)
        self._threads.point(
            "multifd_send_packet", channel=channel, block=BLOCK, idx=self.packets, bytes=size, kind="ram"
        )
        self.digests.pages += pages - zero
        self.packets += 1
        done.pages += pages - zero
        done.zero += zero
        done.bytes += size
        self.bytes += size


class VirtualRamLoad:
    """Stands for :class:`~migemu.ram.RamLoad`."""

    def __init__(self, digests: NoDigest) -> None:
        self._digests = digests

    def apply(self, packet: RamPacket) -> None:
        """Count the pages."""
        pages: Any = packet.pages
        self._digests.pages += pages.pages if isinstance(pages, RamPayload) else 0


class VirtualMemory:
    """Stands for the destination's memory."""

    def __init__(self, size: int) -> None:
        self.ram = VirtualRam(size)
        self.digests = NoDigest()
        self.load = VirtualRamLoad(self.digests)
