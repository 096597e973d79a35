"""Handing packets to whichever multifd channel is free (QEMU: multifd_send, multifd_send_sync_main).

Save threads and the migration thread call :meth:`SendChannels.send`; the event loop that owns the
sockets calls :meth:`SendChannels.done` when a channel has written its packet. One packet is under way
per channel; the kernel's socket buffer behind it keeps the wire busy meanwhile.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from migemu.errors import PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from migemu.threads.api import Condition, Threads
    from migemu.threads.sync import Abort, Patience


@dataclass(slots=True)
class Packet:
    """Bytes for one channel: a header, then the payload as it lies in its buffer."""

    header: bytes
    payload: memoryview | None
    release: Callable[[], None] | None = None
    """Called when the last byte has left for the kernel."""

    def __len__(self) -> int:
        return len(self.header) + (0 if self.payload is None else len(self.payload))


class Outlet(Protocol):
    """One connected channel, as the sending side sees it."""

    def start(self, packet: Packet) -> None:
        """Begin to write `packet`; never blocks; `SendChannels.done` follows."""
        ...


class SendChannels:
    """The multifd channels of the source: a free list under one mutex (``multifd_send_mutex``)."""

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, outlets: Sequence[Outlet]) -> None:
        self._threads = threads
        self._abort = abort
        self._patience = patience
        self._outlets = outlets
        self._mutex = threads.lock("multifd_send_mutex")
        self._ready = threads.condition(self._mutex, "channels_ready")
        self._written = threads.condition(self._mutex, "channel written")
        self._free = deque(range(len(outlets)))
        self._owed: set[int] = set()
        self._busy: list[Packet | None] = [None] * len(outlets)
        self.sent = [0] * len(outlets)
        """Bytes each channel has written."""
        abort.watch(self._mutex, self._ready)
        abort.watch(self._mutex, self._written)

    def __len__(self) -> int:
        return len(self._outlets)

    def send(self, packet: Packet) -> int:
        """Hand `packet` to a free channel, waiting for one; returns the channel's id.

        Raises:
            PeerTimeoutError: no channel became free while nothing moved.
            MigemuError: the side was aborted.
        """
        with self._mutex:
            self._abort.check()
            if not self._free or self._owed:
                self._wait(self._ready, lambda: self._may_take(owed=False), "a free multifd channel")
            channel = self._take(owed=False) if self._owed else self._free.popleft()
            self._busy[channel] = packet
        self._outlets[channel].start(packet)
        return channel

    def send_on_each(self, make: Callable[[int], Packet]) -> Iterator[int]:
        """Hand each channel the packet made for it: behind what it is writing, before whatever else waits.

        As QEMU's ``pending_sync``: on a channel that other senders keep busy a SYNC would come late, and what
        they send meanwhile would pile up at the destination in front of the barrier.

        Yields:
            The id of the channel that was given its packet.

        Raises:
            PeerTimeoutError: a channel did not become free while nothing moved.
            MigemuError: the side was aborted.
        """
        with self._mutex:
            self._owed.update(range(len(self._outlets)))
        for left in range(len(self._outlets), 0, -1):
            with self._mutex:
                what = f"{left} multifd channels to be free for a SYNC"
                self._wait(self._written, lambda: self._may_take(owed=True), what)
                channel = self._take(owed=True)
                self._owed.discard(channel)
                self._busy[channel] = packet = make(channel)
            self._outlets[channel].start(packet)
            yield channel

    def done(self, channel: int) -> None:
        """The channel has written its packet; called by the loop that owns its socket."""
        with self._mutex:
            packet, self._busy[channel] = self._busy[channel], None
            self._free.append(channel)
            self._ready.notify()
            self._written.notify_all()
        self._patience.touch()
        if packet is not None:
            self.sent[channel] += len(packet)
            if packet.release is not None:
                packet.release()

    def drain(self) -> None:
        """Wait until every channel has written what it was given."""
        with self._mutex:
            everyone = len(self._outlets)
            self._wait(self._written, lambda: len(self._free) == everyone, "the multifd channels to drain")

    def _may_take(self, *, owed: bool) -> bool:
        """Whether a channel is free that is owed a packet, or one that is not."""
        return any((channel in self._owed) is owed for channel in self._free)

    def _take(self, *, owed: bool) -> int:
        """The one of them that has been free longest."""
        channel = next(channel for channel in self._free if (channel in self._owed) is owed)
        self._free.remove(channel)
        return channel

    def _wait(self, condition: Condition, predicate: Callable[[], bool], what: str) -> None:
        try:
            self._abort.wait_for(condition, predicate, self._patience, what)
        except PeerTimeoutError as error:
            raise error.at(phase="sending") from None
        self._abort.check()
