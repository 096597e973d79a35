"""`recv-loads`: the multifd receive threads load the device themselves, blocking until it is their turn.

Wondered by Peter Xu on 27 Sep 2024 (ZvYCGFnI_68B_w3h@x1n) and asked again on 30 Sep
(ZvsesAPD6G4Ef9m0@x1n): the destination is driven by packets, so could VFIO not load in the receive threads
and have no threads of its own?

How it works. A receive thread that has read a buffer waits until every buffer before it has been written to
the device, then writes it, and only then reads on. Configs are loaded as in `recv-loads-nonblocking`.

For it: no new threads, and no reassembly at all: a buffer waits in the thread that read it.
Against it (Maciej S. Szmigiero, 927023c9-c8ba-4cdf-9d42-bf1109a139af@maciej.szmigiero.name): it deadlocks.

    channel 1: (device 1, buffer 2) (device 2, buffer 1)
    channel 2: (device 2, buffer 2) (device 1, buffer 1)

Each thread waits for a buffer that stands behind the one it holds on the other channel (B31). A SYNC packet
closes the ring too: a channel parked at its SYNC brings nothing until all have arrived, and one of them may
be waiting for what is behind that SYNC. And devices of different speed slow each other down.

Here the wait has an end: when every channel is waiting, parked or closed and nothing has moved for half of
``timeouts.phase``, the migration fails with who waits for what, before the waits that merely suffer from it
run out. With one channel and every device in order on it the design works.
Fate: refuted on 1 Oct; Peter's repair is `recv-loads-nonblocking`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import InvariantError, MigemuError, PeerTimeoutError
from migemu.handoff.design import Design, Loader
from migemu.handoff.recv_loads_nonblocking import RecvLoadsNonblocking
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot
    from migemu.wire.multifd import DevicePacket


class RecvLoads(RecvLoadsNonblocking):
    """Receive threads wait for their buffer's turn and write it; can deadlock, and then says so."""

    design = Design(
        name="recv-loads",
        summary="multifd receive threads load, each blocking until its buffer's turn; can deadlock",
        data_loader=Loader.RECEIVE_THREAD,
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="ZvYCGFnI_68B_w3h@x1n, 27 Sep 2024; ZvsesAPD6G4Ef9m0@x1n, 30 Sep 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._lock = machine.threads.lock("receive threads")
        self._waiting: dict[str, tuple[Slot, int]] = {}
        self._quiet: dict[int, str] = {}

    def device_packet(self, packet: DevicePacket) -> None:
        """On the receive thread: wait for the buffer's turn, then write it; the config just stays."""
        if not packet.flags & FLAG_CONFIG:
            self.wait_turn(self.machine.slot(packet.device), packet.idx)
        super().device_packet(packet)

    def wait_turn(self, slot: Slot, idx: int) -> None:
        """Wait until every buffer before `idx` has been written.

        Raises:
            InvariantError: all receive threads wait, so nobody ever will.
            PeerTimeoutError: nothing moved for as long as patience allows.
        """
        me = self.machine.threads.current()
        with self._lock:
            self._waiting[me] = slot, idx
        try:
            with slot.buffers.mutex:
                self._sleep_until_turn(slot, idx)
        finally:
            with self._lock:
                del self._waiting[me]

    def _sleep_until_turn(self, slot: Slot, idx: int) -> None:
        machine = self.machine
        started = machine.threads.now()
        while not self._turn_come(slot, idx):
            slot.buffers.raise_if_failed()
            machine.abort.check()
            left = self._left(started)
            if left is not None and left <= 0:
                raise self._stuck(slot, idx)
            slot.buffers.buffer_ready.wait(left)

    def _turn_come(self, slot: Slot, idx: int) -> bool:
        """The mutex is held. Loaded means written: one being written is not counted yet."""
        return slot.name in self._open and slot.buffers.stats.loaded >= idx

    def _left(self, started: float) -> float | None:
        """Seconds left to wait; in a ring, which nobody can leave, half of what others have."""
        patience = self.machine.patience
        left = patience.left(started)
        return left - patience.seconds / 2 if left is not None and self._is_ring() else left

    def _is_ring(self) -> bool:
        """Whether no channel can bring anything."""
        with self._lock:
            return len(self._waiting) + len(self._quiet) >= self.machine.channels

    def _stuck(self, slot: Slot, idx: int) -> MigemuError:
        if self._is_ring():
            told = f"the receive threads wait for each other: {self._story()}"
            return InvariantError(told, invariant="ends", device=slot.name, idx=idx)
        patience = self.machine.patience
        told = f"nothing moved for {patience.seconds:g} s: {self._story()} ({patience.limit})"
        return PeerTimeoutError(told, device=slot.name, idx=idx)

    def _story(self) -> str:
        """Who waits for what."""
        with self._lock:
            waits = [
                f"{thread} holds idx {idx} of {slot.name} and waits for idx {slot.buffers.next_idx}"
                for thread, (slot, idx) in sorted(self._waiting.items())
            ]
            quiet = [f"multifd_recv {channel} is {why}" for channel, why in sorted(self._quiet.items())]
        return "; ".join(waits + quiet)

    def parked(self, channel: int) -> None:
        """At its SYNC a channel brings nothing: whoever waits must see whether that closed a ring."""
        self._set_quiet(channel, "at its SYNC")

    def unparked(self, channel: int) -> None:
        """Behind the SYNC it may bring something again."""
        with self._lock:
            self._quiet.pop(channel, None)

    def channel_ended(self, channel: int) -> None:
        """A closed channel brings nothing either."""
        self._set_quiet(channel, "closed")

    def _set_quiet(self, channel: int, why: str) -> None:
        with self._lock:
            self._quiet[channel] = why
        for slot in self.machine.slots.values():
            with slot.buffers.mutex:
                slot.buffers.buffer_ready.notify_all()
