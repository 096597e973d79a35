"""The destination without its sockets: what records and packets are given to, and what is made of them.

Ordinary blocking code on handed-in threads. The event loop of a real destination calls
:meth:`Core.packet`, :meth:`Core.at_sync`, :meth:`Core.channel_ended` and fills :attr:`Core.queue`; an
exploration does the same from controlled threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.destination.plan import Memory, Plan
from migemu.errors import ConnectionLostError, MigemuError, WireError
from migemu.handoff.base import Machine, Slot
from migemu.threads.sync import Abort, Bql, Patience, Pool, Queue
from migemu.threads.witness import WitnessedThreads
from migemu.wire.multifd import DevicePacket
from migemu.wire.records import Opaque, RamPage, Tail, VfioConfig, VfioData

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Thread
    from migemu.vfio.load import LoadDevice
    from migemu.wire.multifd import RamPacket

MAIN_QUEUE = 16
"""Records of the main channel that may wait for the incoming thread; a DATA block is up to 1 MiB."""
WEIGHTY = (Opaque, RamPage, Tail, VfioConfig, VfioData)


def weight(record: Any) -> int:
    """Bytes that a record of the main channel holds, for those that may hold many."""
    return len(record.data) if isinstance(record, WEIGHTY) else 0


class Core:
    """One incoming migration.

    Args:
        plan: what it is made of.
        reply: writes bytes to the return path.
        release: lets a channel that was held at SYNC read on.

    Attributes:
        abort: the first error of this side.
        queue: records of the main channel.
        incoming: the incoming thread's state.
        running: the VM runs here.
    """

    def __init__(self, plan: Plan, reply: Callable[[bytes], None], release: Callable[[int], None]) -> None:
        self.plan = plan
        self.threads = plan.threads
        self.abort = Abort(plan.threads)
        self.patience = Patience(plan.threads, plan.patience)
        self.bql = Bql(plan.threads)
        self.pool = Pool(plan.threads, self.abort, "load threads")
        self.queue: Queue[Any] = Queue(
            plan.threads,
            self.abort,
            "the main channel",
            limit=MAIN_QUEUE,
            weigh=weight,
            limit_bytes=plan.queue_main,
        )
        self.barrier = plan.barrier(plan.threads, self.abort, self.patience, plan.channels)
        self.memory = self.make_memory()
        self.ram_bytes = 0
        self.reply = reply
        self._release = release
        self._incoming_thread: Thread | None = None
        self._open = set(range(plan.channels))
        self._over = False
        self._make_machine()

    def make_memory(self) -> Memory:
        """Guest RAM; a virtual run only counts its pages."""
        return Memory(self.plan.ram)

    def _make_machine(self) -> None:
        plan = self.plan
        self.machine = Machine(
            plan.threads,
            self.abort,
            self.patience,
            self.bql,
            self.pool,
            plan.platform,
            plan.interrupt_controller_load_time,
            plan.channels,
        )
        self._witness = WitnessedThreads(plan.threads, self.bql.lock)
        for device in plan.devices(self.bql):
            self.add_device(device)
        self.handoff = plan.handoff(self.machine)
        self.abort.on_abort(self.handoff.abort)
        self.incoming = plan.incoming(
            self.machine,
            self.handoff,
            self.queue,
            self.barrier,
            self.memory,
            self.reply,
            plan.machine_name,
            uuid=plan.uuid,
            max_commands=plan.max_commands,
        )
        self.incoming.on_eof = self._stream_over
        self.finish = plan.finish(self)

    def add_device(self, device: LoadDevice) -> Slot:
        """Give the machine a device, before anything of it arrives."""
        plan = self.plan
        buffers = plan.buffers(
            device.model.name,
            self._witness,
            limits=plan.limits,
            flow=plan.flow,
            config_on_multifd=plan.handoff.design.config == "multifd",
        )
        slot = Slot(device, buffers)
        # A new dictionary, because others go through the one there is.
        self.machine.slots = {**self.machine.slots, device.model.name: slot}
        return slot

    @property
    def running(self) -> bool:
        """Whether the VM runs here."""
        return self.finish.running

    def start(self, done: Callable[[], object]) -> None:
        """Start the incoming thread; `done` is called at its end, well or not."""
        self._incoming_thread = self.threads.spawn("incoming", lambda: self._run(done))

    def _run(self, done: Callable[[], object]) -> None:
        try:
            with self.bql:
                self.incoming.load_stream()
                self.finish.run()
        except MigemuError as error:
            self.abort.set(error.at(side="destination", phase=self.incoming.phase))
        except Exception as error:  # noqa: BLE001  a thread's last line of defence: nothing may vanish
            self.abort.set(
                MigemuError(f"{type(error).__name__}: {error}", side="destination", phase=self.incoming.phase)
            )
        finally:
            self._tell_locks()
            done()

    def _tell_locks(self) -> None:
        """Who held the big lock for how long in all, and waited for it: short holds are told only here."""
        held, waited = dict(self.bql.held_seconds), dict(self.bql.waited_seconds)
        for holder, seconds in held.items():
            self.threads.point("bql_total", holder=holder, seconds=seconds, waited=waited.get(holder, 0.0))
        if not self._witness.violations:
            self.threads.point("invariant", name="lock-order", ok=True)

    # What the channels bring; called by whoever owns the sockets, no lock held.

    def packet(self, channel: int, packet: DevicePacket | RamPacket) -> bool:
        """A whole packet; False when the channel must not be read on until :attr:`Machine.on_idle` is called.

        Raises:
            MigemuError: it cannot be used; the migration is over.
        """
        self.patience.touch()
        if isinstance(packet, DevicePacket):
            return self.handoff.receive(channel, self._device_packet, packet)
        return self.handoff.receive(channel, self._ram_packet, packet)

    def busy(self, channel: int) -> bool:
        """Whether the channel's last packet is still being worked on, so that it must not be read on."""
        return self.handoff.busy(channel)

    def _device_packet(self, channel: int, packet: DevicePacket) -> None:
        self.threads.point(
            "multifd_recv_packet",
            channel=channel,
            device=packet.device,
            idx=packet.idx,
            bytes=len(packet.data),
            kind="device",
            config=packet.is_config,
        )
        known = self.machine.slot(packet.device).device.model.instance
        if packet.instance != known:
            told = f"device state for instance {packet.instance}, this machine has instance {known}"
            raise WireError(told, device=packet.device, idx=packet.idx)
        self.handoff.device_packet(packet)

    def _ram_packet(self, channel: int, packet: RamPacket) -> None:
        kind = "ram" if len(packet.normal) or len(packet.zero) else "sync"
        size = len(packet.pages) if packet.pages is not None else 0
        self.threads.point(
            "multifd_recv_packet",
            channel=channel,
            block=packet.block,
            idx=packet.packet_num,
            bytes=size,
            kind=kind,
        )
        self.ram_bytes += size
        self.memory.load.apply(packet)
        if packet.pages is not None:
            packet.pages.release()

    def at_sync(self, channel: int) -> None:
        """The channel met SYNC; it is released at the main channel's barrier word."""
        self.handoff.receive(channel, self._arrive)

    def _arrive(self, channel: int) -> None:
        if self.plan.flow is not None:
            self.plan.flow.parked(channel)
        self.handoff.parked(channel)
        self.barrier.arrive(channel, lambda: self._go_on(channel))
        self._check_stranded()

    def _stream_over(self) -> None:
        """The main stream's EOF was met; BQL not held."""
        self._over = True
        self._check_stranded()

    def _check_stranded(self) -> None:
        """Behind EOF no barrier word comes: a channel at its SYNC brings nothing more (B10)."""
        if self._over and self._open <= self.barrier.parked():
            self.handoff.channels_ended("every channel still open is at a SYNC that no barrier word followed")

    def _go_on(self, channel: int) -> None:
        if self.plan.flow is not None:
            self.plan.flow.unparked(channel)
        self.handoff.unparked(channel)
        self._release(channel)

    def channel_ended(self, channel: int, error: MigemuError | None) -> None:
        """The channel is closed, between packets or by `error`."""
        self.threads.point("multifd_recv_channel_ended", channel=channel)
        if error is None:
            self.handoff.receive(channel, self._end)
            return
        self._end(channel)
        if self.incoming.phase != "commit":  # then everything is loaded: a channel has nothing to bring
            self.failed(error)

    def _end(self, channel: int) -> None:
        try:
            self._ended(channel)
        except MigemuError as error:
            self.failed(error)

    def _ended(self, channel: int) -> None:
        """Nobody may wait for `channel` any more."""
        self._open.discard(channel)
        if self.plan.flow is not None and self.incoming.phase != "commit":
            self.plan.flow.ended(channel)
        self.barrier.channel_ended(channel)
        self.handoff.channel_ended(channel)
        if not self._open and self.incoming.phase != "commit":
            self.handoff.channels_ended()
        self._check_stranded()

    def failed(self, error: MigemuError) -> None:
        """Something this side cannot go on from; the first such error counts."""
        self.abort.set(error.at(side="destination", phase=self.incoming.phase))

    def cleanup(self, seconds: float) -> bool:
        """Join every thread, then give everything back; False when one did not end in time."""
        if not self.running and self.abort.error is None:
            self.abort.set(ConnectionLostError("the migration was given up", side="destination"))
        joined = self._incoming_thread is None or self._incoming_thread.join(seconds)
        joined = self.pool.join(seconds) and joined
        self.handoff.cleanup()
        for slot in self.machine.slots.values():
            slot.device.close()
        return joined
