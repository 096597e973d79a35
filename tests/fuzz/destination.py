"""A whole destination without sockets, on controlled threads and a virtual clock, fed any streams at all.

A wait that would last is over at once, and one without an end is a finding, not a hang of the fuzzer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from migemu.destination.core import Core, Plan
from migemu.destination.mainchannel import End
from migemu.errors import MigemuError
from migemu.handoff import handoff
from migemu.ram import GuestRam
from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_rules import Rules
from migemu.vfio.load import LoadDevice
from migemu.vfio.model import DeviceModel, Platform
from migemu.vfio.sinks import MemfdWindow
from migemu.vfio.slots import BufferLimits
from migemu.wire.buffers import HeapPool
from migemu.wire.limits import WireLimits
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader
from security.scripted import CHANNELS, DEVICE, PAGE, PAGES, UUID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuzz.tape import Streams
    from migemu.threads.sync import Bql

LIMITS = WireLimits(max_payload=1 << 20, max_non_iterable=1 << 20, max_vmdesc=1 << 16)
QUEUE = 8 << 20
"""Bytes a device may queue."""


@dataclass
class Outcome:
    """What came of it."""

    error: MigemuError | None
    running: bool
    peak: int
    """The most bytes the device's queue held."""


@dataclass
class Fed:
    """A destination and the threads that bring it its bytes."""

    threads: ControlledThreads
    streams: Streams
    released: set[int] = field(default_factory=set)

    def build(self) -> None:
        """The engine's first threads."""
        self.core = Core(self._plan(), lambda _: None, self._release)
        self.lock = self.threads.lock("released")
        self.go_on = self.threads.condition(self.lock, "released")
        self.core.abort.watch(self.lock, self.go_on)
        self.core.start(lambda: None)
        self.threads.spawn("main channel", self._main)
        for channel in range(CHANNELS):
            self.threads.spawn(f"channel {channel}", lambda channel=channel: self._channel(channel))  # type: ignore[misc]  # a default binds the loop variable

    def _plan(self) -> Plan:
        platform = Platform(needs_interrupt_controller=True, config_needs_bql=True)

        def devices(bql: Bql) -> Sequence[LoadDevice]:
            model = DeviceModel(name=DEVICE)
            return [LoadDevice(model, MemfdWindow(1 << 16), self.threads, bql.lock, platform)]

        return Plan(
            threads=self.threads,
            channels=CHANNELS,
            machine_name="11.1",
            handoff=handoff("load-ready"),
            ram=GuestRam.of_size(PAGES * PAGE),
            platform=platform,
            patience=5.0,
            limits=BufferLimits(queue_bytes=QUEUE, slots=1024),
            flow=None,
            interrupt_controller_load_time=0.0,
            devices=devices,
            max_commands=1000,
            uuid=UUID,
        )

    def _release(self, channel: int) -> None:
        with self.lock:
            self.released.add(channel)
            self.go_on.notify_all()

    def _main(self) -> None:
        reader = MainReader(HeapPool(keep=0), LIMITS)
        error: MigemuError | None = None
        try:
            records = reader.feed(self.streams[0])
            reader.ended()
        except MigemuError as met:
            records, error = reader.salvaged, met
        for record in records:
            self.core.queue.put(record)
        self.core.queue.put(End(error))

    def _channel(self, channel: int) -> None:
        reader = PacketReader(HeapPool(keep=0), LIMITS)
        error: MigemuError | None = None
        try:
            for packet in reader.feed(self.streams[1 + channel]):
                self.core.packet(channel, packet)
            while reader.parked and self._passed(channel):
                for packet in reader.resume():
                    self.core.packet(channel, packet)
            reader.ended()
        except MigemuError as met:
            error = met
        self.core.channel_ended(channel, error)

    def _passed(self, channel: int) -> bool:
        """Wait at SYNC for the barrier; False when the migration is over."""
        self.core.at_sync(channel)
        with self.lock:
            while channel not in self.released and self.core.abort.error is None:
                self.go_on.wait()
            self.released.discard(channel)
        return self.core.abort.error is None


@cache
def the_engine() -> Engine:
    """One for all runs: an engine keeps its threads for the next run, and never gives them back."""
    return Engine(Rules())


def play(streams: Streams, script: Sequence[int] = ()) -> Outcome:
    """Run a destination on `streams`.

    Raises:
        AssertionError: it stopped without an end, or raised what is not of the tree.
    """
    engine = the_engine()
    fed = Fed(ControlledThreads(engine), streams)
    try:
        engine.run(fed.build, script)
        assert engine.ended == "done", f"{engine.ended}: {engine.failure}"
        assert engine.failure is None, engine.failure
        core = fed.core
        error = core.abort.error
        assert error is None or type(error) is not MigemuError, error
        assert core.running == (error is None)
        return Outcome(error, core.running, core.machine.slots[DEVICE].buffers.stats.peak_bytes)
    finally:
        engine.abandon()
        fed.core.memory.ram.close()
        for slot in fed.core.machine.slots.values():
            slot.device.close()
