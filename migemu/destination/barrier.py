"""The SYNC barrier between the multifd channels and the main channel (QEMU: multifd_recv_sync_main).

Nothing orders two sockets: page 99 may go by channel 0 in one round and by channel 1 in the next, and
without a barrier the older copy may land last (B18 of the bug catalogue). So every channel stops
reading at its SYNC packet until the main channel's barrier word has been met, and the main channel
waits there until every channel has arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConnectionLostError, PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Patience


class SyncBarrier:
    """Counts arrivals per channel; never lets one channel's extra SYNC stand in for another's."""

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, channels: int) -> None:
        self._threads = threads
        self._abort = abort
        self._patience = patience
        self._lock = threads.lock("sync barrier")
        self._arrived = threads.condition(self._lock, "all channels at SYNC")
        self._parked: dict[int, Callable[[], None]] = {}
        self._ended: set[int] = set()
        self._channels = channels
        self.rounds = 0
        abort.watch(self._lock, self._arrived)

    def arrive(self, channel: int, resume: Callable[[], None]) -> None:
        """`channel` has met SYNC and reads no further until `resume` is called; never blocks."""
        with self._lock:
            self._parked[channel] = resume
            if self._complete():
                self._arrived.notify_all()
        self._threads.point("multifd_recv_sync", channel=channel)

    def parked(self) -> set[int]:
        """The channels that are at their SYNC now."""
        with self._lock:
            return set(self._parked)

    def channel_ended(self, channel: int) -> None:
        """`channel` is closed: nobody may wait for its SYNC any more."""
        with self._lock:
            self._ended.add(channel)
            self._arrived.notify_all()

    def wait(self) -> None:
        """Wait until every channel is at its SYNC, then let all of them read on.

        Raises:
            ConnectionLostError: a channel closed before its SYNC.
            PeerTimeoutError: some channel's SYNC did not come; the error names the channels.
        """
        self._threads.point("multifd_recv_sync_main_wait", round=self.rounds)
        with self._lock:
            self._wait_for_all()
            resumes, self._parked = list(self._parked.values()), {}
            self.rounds += 1
        for resume in resumes:
            resume()
        self._threads.point("multifd_recv_sync_main", round=self.rounds)

    def _complete(self) -> bool:
        return len(self._parked) == self._channels

    def _wait_for_all(self) -> None:
        try:
            self._abort.wait_for(
                self._arrived, lambda: self._complete() or bool(self._lost()), self._patience, "SYNC"
            )
        except PeerTimeoutError:
            missing = sorted(set(range(self._channels)) - set(self._parked))
            raise PeerTimeoutError(
                f"no SYNC within {self._patience.seconds:g} s on multifd channel(s) {missing}; "
                f"the main channel is at its barrier ({self._patience.limit})",
                phase="sync",
            ) from None
        if lost := self._lost():
            raise ConnectionLostError("closed before the SYNC of this round", channel=lost[0], phase="sync")

    def _lost(self) -> list[int]:
        """Channels that are closed and not at their SYNC: the barrier can never be met."""
        return sorted(self._ended - set(self._parked))
