"""Guest RAM on its way out: passes over the dirty log as multifd packets, and the barrier after each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.ram import batches
from migemu.source.channels import Packet
from migemu.wire.multifd import encode_ram_header, ram_header_size, sync_packet

if TYPE_CHECKING:
    from migemu.link.pacing import Pacer
    from migemu.ram import DirtyLog, GuestRam, PageDigests, RamBatch
    from migemu.source.channels import SendChannels
    from migemu.threads.api import Threads
    from migemu.wire.buffers import Pool


@dataclass(slots=True)
class Pass:
    """What one pass over the dirty pages sent."""

    pages: int = 0
    zero: int = 0
    bytes: int = 0


class SyncSender:
    """The barrier behind a pass: a SYNC on every channel.

    Attributes:
        packets: RAM packets and SYNCs so far; the number of the next one.
        syncs: barriers so far.
    """

    def __init__(self, threads: Threads, channels: SendChannels) -> None:
        self._threads = threads
        self._channels = channels
        self.packets = 0
        self.syncs = 0

    def sync(self) -> None:
        """A SYNC packet on every channel, behind all it was given; the main channel's word follows."""
        for channel in self._channels.send_on_each(self._sync_packet):
            self._threads.point(
                "multifd_send_packet", channel=channel, idx=self.packets, bytes=ram_header_size(), kind="sync"
            )
            self.packets += 1
        self.syncs += 1
        self._threads.point("multifd_send_sync_main", round=self.syncs)

    def _sync_packet(self, _channel: int) -> Packet:
        return Packet(encode_ram_header(sync_packet(self.packets)), None)


class RamSender(SyncSender):
    """Sends dirty pages; all of it on the migration thread.

    Args:
        threads: clock and events.
        ram: guest memory.
        dirty: which pages to send.
        digests: of the pages as they were sent.
        pool: where gathered pages lie until a channel has written them.
        channels: the multifd channels.
        pace: the max-bandwidth limit of the running phase; None without one.
    """

    def __init__(
        self,
        threads: Threads,
        ram: GuestRam,
        dirty: DirtyLog,
        digests: PageDigests,
        pool: Pool,
        channels: SendChannels,
        pace: Pacer | None,
    ) -> None:
        super().__init__(threads, channels)
        self._pool = pool
        self._pace = pace
        self.ram = ram
        self.dirty = dirty
        self.digests = digests
        self.bytes = 0

    def send_dirty(self, *, paced: bool) -> Pass:
        """Send every page that is dirty now, once."""
        done = Pass()
        for batch in batches(self.ram, self.dirty.fetch_and_clear(), self.digests, self._pool):
            size = self._send(batch)
            done.pages += len(batch.normal)
            done.zero += len(batch.zero)
            done.bytes += size
            self.bytes += size
            if paced and self._pace is not None:
                self._threads.sleep(self._pace.delay(self._threads.now(), size))
        return done

    def _send(self, batch: RamBatch) -> int:
        header = encode_ram_header(batch.packet(self.packets))
        pages = batch.pages
        packet = Packet(header, pages.view, pages.release) if pages else Packet(header, None)
        size = len(packet)
        channel = self._channels.send(packet)
        self._threads.point(
            "multifd_send_packet",
            channel=channel,
            block=batch.block.id,
            idx=self.packets,
            bytes=size,
            kind="ram",
        )
        self.packets += 1
        return size
