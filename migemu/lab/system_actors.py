"""The environment of a destination: its connections, and the session that owns them.

On real sockets all of this runs on one event loop; here every connection is a thread of its own, as in
QEMU, so that whatever order the loop could meet is one of the orders tried, and some more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from migemu.destination.mainchannel import End
from migemu.errors import CancelledMigrationError, ConnectionLostError, InvariantError, MigemuError
from migemu.lab.system_faults import CANCEL, CHANNEL_ENDS, CHANNEL_FAILS, MAIN_ENDS, PACKET_LOST
from migemu.wire.multifd import RamPacket, sync_packet
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.destination.core import Core
    from migemu.lab.system_queue import BurstQueue
    from migemu.lab.system_stream import Burst
    from migemu.lab.system_traffic import Delivery
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.controlled_task import Task
    from migemu.wire.multifd import DevicePacket


class ChannelActor:
    """One multifd connection: delivers its packets in their order (``destination/channel.py``).

    Args:
        threads: of the run.
        core: takes the packets.
        channel: its number.
        row: what comes.
    """

    def __init__(self, threads: ControlledThreads, core: Core, channel: int, row: Sequence[Delivery]) -> None:
        self._threads = threads
        self._core = core
        self._channel = channel
        self._row = row
        self._lock = threads.lock(f"channel {channel}")
        self._freed = threads.condition(self._lock, f"channel {channel} read on")
        self._released: set[str] = set()
        self._closed = False

    def run(self) -> None:
        """The connection's life."""
        for delivery in self._row:
            if self._closed or self._fault(delivery):
                return
            if not self._lost(delivery) and not self._deliver(delivery):
                return

    def _fault(self, delivery: Delivery) -> bool:
        """Whether the connection ends before this delivery, by decision."""
        place = f"on channel {self._channel} before {delivery.label}"
        if self._threads.choose(CHANNEL_ENDS, 2, place):
            self._end("")
            return True
        if self._threads.choose(CHANNEL_FAILS, 2, place):
            self._end("reset by peer")
            return True
        return False

    def _lost(self, delivery: Delivery) -> bool:
        """Whether this packet never comes, by decision; a SYNC that is withheld is another story."""
        if delivery.ends is not None or delivery.sync:
            return False
        return bool(self._threads.choose(PACKET_LOST, 2, f"on channel {self._channel}: {delivery.label}"))

    def _end(self, reason: str) -> None:
        lost = ConnectionLostError(f"connection failed: {reason}", channel=self._channel) if reason else None
        self._core.channel_ended(self._channel, lost)

    def _deliver(self, delivery: Delivery) -> bool:
        """Hand it over and wait until the channel may be read on; False when it never will be."""
        try:
            return self._hand_over(delivery)
        except MigemuError as error:
            self._core.failed(error.at(channel=self._channel))
            return False

    def _hand_over(self, delivery: Delivery) -> bool:
        if delivery.ends is not None:
            self._end(delivery.ends)
            return False
        if delivery.sync:
            self._core.packet(self._channel, sync_packet(0))
            self._core.at_sync(self._channel)
            return self._wait(lambda: "sync" in self._released)
        packet = delivery.packet if delivery.pages is None else delivery.pages()
        assert packet is not None  # noqa: S101  a delivery is one of these
        if not self._admitted(packet):
            return False
        if self._core.packet(self._channel, packet):
            return True
        return self._wait(lambda: not self._core.busy(self._channel))

    def _admitted(self, packet: DevicePacket | RamPacket) -> bool:
        """Ask the queue cap, if there is one, until there is room; False when the end came first."""
        flow = self._core.plan.flow
        if flow is None or isinstance(packet, RamPacket):
            return True
        is_config = bool(packet.flags & FLAG_CONFIG)
        while not flow.admit(self._channel, packet.device, packet.idx, len(packet.data), is_config=is_config):
            if not self._wait(lambda: "queue cap" in self._released):
                return False
        return True

    def _wait(self, free: Callable[[], bool]) -> bool:
        """Wait until nothing holds the channel any more; False when it was closed instead."""
        with self._lock:
            while not free() and not self._closed:
                self._freed.wait()
            self._released.clear()
            return not self._closed

    def release(self, reason: str) -> None:
        """From any thread: `reason` no longer holds this channel."""
        with self._lock:
            self._released.add(reason)
            self._freed.notify_all()

    def close(self) -> None:
        """The session lets go of the connection."""
        with self._lock:
            self._closed = True
            self._freed.notify_all()


class MainActor:
    """The main connection (``destination/mainchannel.py``).

    Args:
        threads: of the run.
        core: fails when the connection does.
        queue: takes the records.
        bursts: what comes.
    """

    def __init__(
        self, threads: ControlledThreads, core: Core, queue: BurstQueue, bursts: Sequence[Burst]
    ) -> None:
        self._threads = threads
        self._core = core
        self._queue = queue
        self._bursts = bursts
        self._closed = False

    def run(self) -> None:
        """The connection's life."""
        for burst in self._bursts:
            if self._closed:
                return
            if self._threads.choose(MAIN_ENDS, 2, f"before {burst.label}"):
                self._queue.put_burst([End(None)])
                return
            self._queue.put_burst(burst.records())
            self._threads.point("main_channel_brings", what=burst.label)

    def close(self) -> None:
        """The session lets go of the connection."""
        self._closed = True


class Session:
    """Starts the core, waits for its end, closes the connections, cleans up (``destination/session.py``).

    Args:
        threads: of the run.
        core: the destination.
        actors: its connections' threads.
        close: has every connection stop.
    """

    def __init__(
        self, threads: ControlledThreads, core: Core, actors: Sequence[Task], close: Callable[[], None]
    ) -> None:
        self._core = core
        self._actors = actors
        self._close = close
        self.lock = threads.lock("session")
        self.over = threads.condition(self.lock, "migration over")
        self._done = False
        core.abort.on_abort(lambda _: self.done())

    def done(self) -> None:
        """The migration is over, well or not."""
        with self.lock:
            self._done = True
            self.over.notify_all()

    def run(self) -> None:
        """What the event loop does at the end."""
        self._await_end()
        self._end_connections()
        if not self._core.cleanup(math.inf):
            raise InvariantError("a thread did not end", invariant="ends")

    def _await_end(self) -> None:
        """Wait until the migration is over."""
        with self.lock:
            while not self._done:
                self.over.wait()

    def _end_connections(self) -> None:
        """Nothing is delivered any more when this returns, as on the loop that closes them itself."""
        self._close()
        for actor in self._actors:
            actor.join()


class User:
    """A person who may end the migration, at any moment.

    Args:
        threads: of the run.
        core: the destination.
    """

    def __init__(self, threads: ControlledThreads, core: Core) -> None:
        self._threads = threads
        self._core = core

    def run(self) -> None:
        """Cancel, or not."""
        self._threads.turn()
        if self._threads.choose(CANCEL, 2, ""):
            self._core.failed(CancelledMigrationError("cancelled by a person"))
