"""The interface behind which every design stands.

The incoming thread calls the methods in the order of the stream, with the BQL held as QEMU's main thread
holds it; :meth:`Handoff.device_packet` is called by whoever received the packet, without it. A design
overrides what it decides otherwise; nothing here waits without the machine's patience.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from migemu.errors import PeerTimeoutError, WireError
from migemu.handoff.design import Carrier, Loader
from migemu.handoff.loading import Loading
from migemu.handoff.machine import Config, Machine, Slot
from migemu.vfio.states import State
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from migemu.errors import MigemuError
    from migemu.wire.multifd import DevicePacket

__all__ = ["Config", "Handoff", "Machine", "Slot"]


class Handoff(Loading):
    """When is a device's config loaded, by which thread, under which lock."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.started = False

    # What the stream says, in its order; called by the incoming thread, BQL held.

    def load_setup(self) -> None:
        """Every device enters RESUMING before any section is read, unless it did when its section began."""
        for slot in self.machine.slots.values():
            if slot.device.state is not State.RESUMING:
                slot.device.load_setup()

    def switchover_start(self) -> None:
        """MIG_CMD_SWITCHOVER_START: all iterable data of the running phase is in, loading may begin.

        Raises:
            WireError: it came before (a real QEMU 10.0 to 11.1 aborts here).
        """
        if self.started:
            raise WireError("SWITCHOVER_START came twice", channel="main", phase="switchover")
        self.started = True
        if self.design.data_loader is Loader.LOAD_THREAD:
            self.spawn_loaders()

    def device_end(self, slot: Slot) -> None:
        """SECTION_END of a device: what it holds was read from the stopped device."""

    def end_of_state(self, slot: Slot) -> None:
        """END_OF_STATE in any section of a device."""

    def device_full(self, slot: Slot) -> None:
        """SECTION_FULL of a device begins: its place among the non-iterables."""

    def main_data(self, slot: Slot, view: memoryview) -> None:
        """A DATA block on the main channel: pre-copy data, unless the design sends all data here."""
        if self.started:
            raise WireError("stop-copy data on the main channel", device=slot.name, channel="main")
        slot.device.write_precopy(view)
        self.machine.patience.touch()

    def main_data_count(self, slot: Slot, count: int) -> None:
        """How many data buffers of this device travel over multifd (an extension)."""
        if self.design.config is not Carrier.MAIN or self.design.data is not Carrier.MULTIFD:
            raise WireError(f"unexpected data count {count}", device=slot.name, channel="main")
        with self.machine.without_bql():
            slot.buffers.set_data_count(count)

    def main_config(self, slot: Slot, config: bytes) -> None:
        """A config state in the device's own non-iterable section."""
        size = len(config)
        raise WireError(f"unexpected config state of {size} bytes", device=slot.name, channel="main")

    def config_load_ready(self, slot: Slot) -> None:
        """CONFIG_LOAD_READY in the device's own non-iterable section."""
        raise WireError("unexpected CONFIG_LOAD_READY", device=slot.name, channel="main")

    def send_non_iterable(self) -> None:
        """MIG_CMD_SEND_NON_ITERABLE (an extension): only non-iterable sections follow."""
        raise WireError("unexpected SEND_NON_ITERABLE", channel="main", phase="non-iterable")

    def stream_end(self) -> None:
        """The main stream ended: return when every device is loaded.

        Raises:
            WireError: SWITCHOVER_START never came (a real QEMU completes with empty devices here).
        """
        self.check_started()
        with self.naming_the_late(), self.machine.without_bql():
            self.machine.pool.wait(self.machine.patience.of_those_behind())

    def check_started(self) -> None:
        """Refuse a stream that ended before loading began, as :meth:`stream_end` says."""
        if not self.started and self.design.switchover_start:
            raise WireError("the stream ended without SWITCHOVER_START", channel="main", phase="eof")

    @contextmanager
    def naming_the_late(self) -> Iterator[None]:
        """Around a wait for all devices: when it runs out, say which of them are not loaded."""
        try:
            yield
        except PeerTimeoutError as error:
            slots = self.machine.slots.values()
            late = ", ".join(slot.name for slot in slots if slot.device.config_digest is None)
            raise PeerTimeoutError(f"{error.message}; not loaded yet: {late}") from None

    # Where the incoming thread holds the BQL; QEMU's main thread does throughout, but for idle moments.

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Around all records of the stream."""
        yield

    def idle(self) -> AbstractContextManager[None]:
        """Around the wait for the next record: QEMU's coroutine yields to the main loop."""
        return self.machine.without_bql()

    def at_barrier(self) -> AbstractContextManager[None]:
        """Around the wait for all SYNCs: QEMU keeps the BQL here."""
        return nullcontext()

    def section_begins(self, *, whole: bool) -> None:
        """A section's header was met; `whole` for START and FULL, not for PART and END."""

    def section_ends(self) -> None:
        """A section's footer was met."""

    # What arrives on the multifd channels; called by the receiver, BQL not held.

    def receive(self, channel: int, act: Callable[..., None], *what: object) -> bool:
        """`what` came on `channel`: act on both; False when the channel must be read no further for now."""
        act(channel, *what)
        return True

    def busy(self, channel: int) -> bool:  # noqa: ARG002  the interface
        """Whether what came on `channel` is still being worked on, so that it must not be read."""
        return False

    def parked(self, channel: int) -> None:
        """`channel` is at its SYNC and brings nothing until the barrier is passed."""

    def unparked(self, channel: int) -> None:
        """`channel` reads on behind its SYNC."""

    def channel_ended(self, channel: int) -> None:
        """`channel` is closed: it brings nothing more."""

    def device_packet(self, packet: DevicePacket) -> None:
        """A device-state packet is complete: queue it by its idx.

        Raises:
            WireError: it has no place in the device's reassembly, or none in this design.
        """
        buffers = self.machine.slot(packet.device).buffers
        if self.design.data is Carrier.MAIN:
            told = f"device state on multifd, but hand-off {self.design.name} sends it on the main channel"
            raise WireError(told, device=packet.device, idx=packet.idx)
        is_config = bool(packet.flags & FLAG_CONFIG)
        buffers.insert(packet.idx, packet.data, is_config, packet.version)

    # The end.

    def channels_ended(self, why: str = "every multifd channel has ended") -> None:
        """No multifd channel brings anything more: nobody may wait for another packet."""
        for slot in self.machine.slots.values():
            slot.buffers.channels_ended(why)

    def abort(self, error: MigemuError) -> None:
        """Wake whoever waits for a device's packets; no lock held."""
        for slot in self.machine.slots.values():
            slot.buffers.abort(error)
            slot.device.cancel()

    def cleanup(self) -> None:
        """Give back what is queued, after every thread has ended (B5: the threads first)."""
        for slot in self.machine.slots.values():
            slot.buffers.close()
