"""The interface behind which every design stands, and the machine it is given.

The incoming thread calls the methods in the order of the stream, with the BQL held as QEMU's main thread
holds it; :meth:`Handoff.device_packet` is called by whoever received the packet, without it. A design
overrides what it decides otherwise; nothing here waits without the machine's patience.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from migemu.errors import WireError
from migemu.wire.vfio import FLAG_CONFIG, unwrap_config

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.handoff.design import Design
    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Bql, Patience, Pool
    from migemu.vfio.load import LoadDevice
    from migemu.vfio.model import Platform
    from migemu.vfio.reassembly import StateBuffers
    from migemu.wire.multifd import DevicePacket


@dataclass
class Slot:
    """One device of the destination and what has come for it."""

    device: LoadDevice
    buffers: StateBuffers

    @property
    def name(self) -> str:
        """The device's section id."""
        return self.device.model.name


@dataclass
class Machine:
    """What a design works on: the destination's devices, its threads and its locks."""

    threads: Threads
    abort: Abort
    patience: Patience
    bql: Bql
    pool: Pool
    platform: Platform
    interrupt_controller_load_time: float = 0.0
    """Seconds."""
    slots: dict[str, Slot] = field(default_factory=dict)

    def slot(self, name: str) -> Slot:
        """The device a packet or section names.

        Raises:
            WireError: this machine has no such device.
        """
        try:
            return self.slots[name]
        except KeyError:
            known = ", ".join(self.slots) or "none"
            raise WireError(
                f"unknown device; this machine has: {known}", device=name, phase="device state"
            ) from None


class Handoff:
    """When is a device's config loaded, by which thread, under which lock."""

    design: ClassVar[Design]

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.started = False

    # What the stream says, in its order; called by the incoming thread, BQL held.

    def load_setup(self) -> None:
        """Every device enters RESUMING before any section is read."""
        for slot in self.machine.slots.values():
            slot.device.load_setup()

    def switchover_start(self) -> None:
        """MIG_CMD_SWITCHOVER_START: all iterable data of the running phase is in.

        Raises:
            WireError: it came before (a real QEMU 10.0 to 11.1 aborts here).
        """
        if self.started:
            raise WireError("SWITCHOVER_START came twice", channel="main", phase="switchover")
        self.started = True

    def main_data(self, slot: Slot, view: memoryview) -> None:
        """A DATA block on the main channel: pre-copy data, unless the design sends all data here."""
        if self.started:
            raise WireError("stop-copy data on the main channel", device=slot.name, channel="main")
        slot.device.write_precopy(view)
        self.machine.patience.touch()

    def main_data_count(self, slot: Slot, count: int) -> None:
        """How many data buffers of this device travel over multifd (an extension)."""
        raise WireError(f"unexpected data count {count}", device=slot.name, channel="main")

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
        if not self.started and self.design.switchover_start:
            raise WireError("the stream ended without SWITCHOVER_START", channel="main", phase="eof")
        with self.machine.bql.released():
            self.machine.pool.wait(self.machine.patience)

    # What arrives on the multifd channels; called by the receiver, BQL not held.

    def device_packet(self, packet: DevicePacket) -> None:
        """A device-state packet is complete: queue it by its idx."""
        buffers = self.machine.slot(packet.device).buffers
        is_config = bool(packet.flags & FLAG_CONFIG)
        buffers.insert(packet.idx, packet.data, is_config, packet.version)

    # What most designs do in a thread per device; BQL not held.

    def load_data(self, slot: Slot) -> None:
        """Write the device's data buffers in idx order until the last is in."""
        patience = self.machine.patience

        def write(idx: int, span: memoryview) -> None:
            slot.device.write(idx, span)
            patience.touch()

        slot.buffers.load_data(write, patience.deadline())

    def load_config_packet(self, slot: Slot) -> None:
        """Load the config that came as the device's last packet; the caller holds what the design holds."""
        item = slot.buffers.take_config()
        try:
            slot.device.load_config(unwrap_config(item.payload.view), item.idx)
        finally:
            slot.buffers.done(item)
        self.machine.patience.touch()

    def spawn_loaders(self) -> None:
        """Start a load thread for every device (QEMU: qemu_loadvm_start_load_thread)."""
        for slot in self.machine.slots.values():
            self.machine.pool.submit(f"load {slot.name}", lambda slot=slot: self._load_thread(slot))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults

    def _load_thread(self, slot: Slot) -> None:
        point = self.machine.threads.point
        point("vfio_load_bufs_thread_start", device=slot.name)
        self.load(slot)
        stats = slot.buffers.stats
        point(
            "vfio_load_bufs_thread_end",
            device=slot.name,
            bytes=slot.device.data_bytes,
            wait=stats.wait_time,
            load=slot.device.load_time,
            config_load=slot.device.config_time,
            queued_peak=stats.peak_bytes,
        )

    def load(self, slot: Slot) -> None:
        """The body of a device's load thread, where the design has one."""
        raise NotImplementedError(f"{self.design.name} has no load threads")

    # The end.

    def channels_ended(self) -> None:
        """Every multifd channel is closed: nobody may wait for another packet."""
        for slot in self.machine.slots.values():
            slot.buffers.channels_ended()

    def abort(self, error: MigemuError) -> None:
        """Wake whoever waits for a device's packets; no lock held."""
        for slot in self.machine.slots.values():
            slot.buffers.abort(error)
            slot.device.cancel()

    def cleanup(self) -> None:
        """Give back what is queued, after every thread has ended (B5: the threads first)."""
        for slot in self.machine.slots.values():
            slot.buffers.close()
