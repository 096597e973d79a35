"""`recv-loads-nonblocking`: whichever receive thread completes a run of buffers loads the run.

Peter Xu's answer to the deadlock of `recv-loads` (1 Oct 2024, ZvxqE0i5qGGiSFk0@x1n): a receive thread puts
its buffer in the array, under the device's lock; if the next one is missing it goes on reading, and whoever
brings the missing one loads all that is here in a row.

How it works. As he drew it. Only one thread at a time writes a device; a thread that finds the device being
written leaves its buffer to that thread, which looks again before it goes. Buffers that come before
MIG_CMD_SWITCHOVER_START only queue, and a receive thread is told to look at the device then (B3). The config
packet is kept; the incoming thread loads the configs at the end, as in `load-finish`, of which this is the
variant without load threads: that is how version 2 of the series was measured both ways.

For it: no new threads, and no deadlock.
Against it (Maciej S. Szmigiero, 927023c9-c8ba-4cdf-9d42-bf1109a139af@maciej.szmigiero.name and
6240036b-f8b8-4592-8f80-21ee6d3eaa1e@maciej.szmigiero.name): more logic; the next buffers of two devices on
one channel are written one after the other; a slow device keeps a channel from being read. Measured with
four devices and six channels: 1295 ms, the lowest of 115 runs, against 1068 ms, 21 % worse.
Fate: refuted by that measurement; Peter accepted dedicated load threads (Zv8J1uAWIxzCgErh@x1n).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.design import Design, Loader
from migemu.handoff.load_finish import LoadFinish
from migemu.handoff.receivers import Receivers

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.base import Machine, Slot
    from migemu.vfio.slots import Loadable
    from migemu.wire.multifd import DevicePacket


class RecvLoadsNonblocking(LoadFinish):
    """Receive threads write what has become complete; the incoming thread loads configs as in v2."""

    design = Design(
        name="recv-loads-nonblocking",
        summary="multifd receive threads load: whoever completes a run of buffers writes it",
        data_loader=Loader.RECEIVE_THREAD,
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="ZvxqE0i5qGGiSFk0@x1n, 1 Oct 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._receivers = Receivers(machine)
        self._open: set[str] = set()
        self._claimed: set[str] = set()

    def load_setup(self) -> None:
        """The receive threads may start: devices are set up."""
        super().load_setup()
        self._receivers.start()

    def receive(self, channel: int, act: Callable[..., None], *what: object) -> bool:
        """Leave it to the channel's own thread, and read on when that has done it."""
        self._receivers[channel].put(lambda: act(channel, *what))
        return False

    def busy(self, channel: int) -> bool:
        """Whether the channel's thread still has something to do."""
        return self._receivers[channel].busy()

    def switchover_start(self) -> None:
        """All pre-copy data is in: what has queued up may be written, by the receive threads."""
        super().switchover_start()
        with self.machine.without_bql():
            for number, slot in enumerate(self.machine.slots.values()):
                self._open_device(slot)
                self._receivers[number % len(self._receivers)].put(lambda slot=slot: self.load_run(slot))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults

    def _open_device(self, slot: Slot) -> None:
        """Let the device be written from here on."""
        with slot.buffers.mutex:
            self._open.add(slot.name)
            slot.buffers.buffer_ready.notify_all()

    def device_packet(self, packet: DevicePacket) -> None:
        """On the receive thread: queue it, then load whatever is complete now."""
        super().device_packet(packet)
        self.load_run(self.machine.slot(packet.device))

    def load_run(self, slot: Slot) -> None:
        """Write the buffers that are here in a row, unless somebody else does, then see whether all is in."""
        while (item := self._next(slot)) is not None:
            try:
                slot.device.write(item.idx, item.payload.view)
            finally:
                slot.buffers.done(item)
            self.machine.patience.touch()
        if self._claim(slot):
            self.say_ready(slot)
            self.finished(slot)

    def _next(self, slot: Slot) -> Loadable | None:
        with slot.buffers.mutex:
            may_load = slot.name in self._open
        return slot.buffers.try_next() if may_load else None

    def _claim(self, slot: Slot) -> bool:
        """Whether all data is in and the caller is the first to see it."""
        with slot.buffers.mutex:
            first = slot.buffers.complete and slot.name not in self._claimed
            if first:
                self._claimed.add(slot.name)
            return first

    def stream_end(self) -> None:
        """As in v2; nothing comes on the channels any more."""
        super().stream_end()
        self._receivers.stop()
