"""A whole destination without sockets, on controlled threads and a virtual clock, fed any streams at all.

A wait that would last is over at once, and one without an end is a finding, not a hang of the fuzzer. Which
thread runs next, where more than one could, the input says too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from migemu.destination.core import Core
from migemu.destination.mainchannel import End
from migemu.destination.plan import Plan
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
    from collections.abc import Iterable, Sequence

    from fuzz.tape import Streams
    from migemu.threads.controlled_task import Task
    from migemu.threads.sync import Bql

LIMITS = WireLimits(max_payload=1 << 20, max_non_iterable=1 << 20, max_vmdesc=1 << 16)
PIECE = 1 << 16
"""Bytes read at a time."""
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
class Bytes:
    """Takes the decisions that an input holds, one byte each, and the usual ones behind its end."""

    left: list[int]

    def thread(self, _current: Task | None, ready: list[Task], /) -> int:
        return self._next(len(ready) + 1) if _current is not None else self._next(len(ready))

    def option(self, _kind: str, options: int, _label: str, /) -> int:
        return self._next(options)

    def _next(self, most: int) -> int:
        return self.left.pop() % most if self.left and most else 0


@dataclass
class Fed:
    """A destination and the threads that bring it its bytes."""

    threads: ControlledThreads
    streams: Streams
    released: set[int] = field(default_factory=set)

    def build(self) -> None:
        """The engine's first threads."""
        self.core = self.make_core()
        self.lock = self.threads.lock("released")
        self.go_on = self.threads.condition(self.lock, "released")
        self.core.abort.watch(self.lock, self.go_on)
        self.core.start(lambda: None)
        self.threads.spawn("main channel", self._main)
        for channel in range(len(self.streams) - 1):
            self.threads.spawn(f"channel {channel}", lambda channel=channel: self._channel(channel))  # type: ignore[misc]  # a default binds the loop variable

    def make_core(self) -> Core:
        """What is fed."""
        return Core(self._plan(), lambda _: None, self.release)

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

    def release(self, channel: int) -> None:
        """A channel may go on behind its SYNC."""
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
        for record in self.handed_on(records):
            self.core.queue.put(record)
        self.core.queue.put(End(error))

    def handed_on(self, records: list[Any]) -> Iterable[Any]:
        """As the loop would."""
        return records

    def _channel(self, channel: int) -> None:
        reader = PacketReader(HeapPool(keep=0), LIMITS)
        error: MigemuError | None = None
        try:
            stream = self.streams[1 + channel]
            for at in range(0, len(stream), PIECE):
                self._take(channel, reader, reader.feed(stream[at : at + PIECE]))
            reader.ended()
        except MigemuError as met:
            error = met
        self.core.channel_ended(channel, error)

    def _take(self, channel: int, reader: PacketReader, packets: list[Any]) -> None:
        """Hand on what was read, and what comes behind each barrier that is passed."""
        while True:
            for packet in packets:
                self.core.packet(channel, packet)
            if not reader.parked:
                return
            self._pass(channel)
            packets = reader.resume()

    def _pass(self, channel: int) -> None:
        """Wait at SYNC for the barrier.

        Raises:
            MigemuError: the migration is over.
        """
        self.core.at_sync(channel)
        with self.lock:
            while channel not in self.released:
                self.core.abort.check()
                self.go_on.wait()
            self.released.discard(channel)


@cache
def the_engine() -> Engine:
    """One for all runs: an engine keeps its threads for the next run, and never gives them back."""
    return Engine(Rules())


def play(streams: Streams, schedule: bytes = b"", kind: type[Fed] = Fed) -> Outcome:
    """Run a destination on `streams`, threads taking turns as `schedule` says.

    Raises:
        AssertionError: it stopped without an end, held too much, or raised what is not of the tree.
    """
    engine = the_engine()
    fed = kind(ControlledThreads(engine), streams)
    try:
        engine.run(fed.build, chooser=Bytes(list(schedule)) if schedule else None)
        assert engine.ended == "done", f"{engine.ended}: {engine.failure}"
        assert engine.failure is None, engine.failure
        return judged(fed.core)
    finally:
        engine.abandon()
        fed.core.memory.ram.close()
        for slot in fed.core.machine.slots.values():
            slot.device.close()


def judged(core: Core) -> Outcome:
    """What came of it, if it is what may come of it."""
    error = core.abort.error
    assert error is None or type(error) is not MigemuError, error
    assert core.running == (error is None)
    peak = max((slot.buffers.stats.peak_bytes for slot in core.machine.slots.values()), default=0)
    assert peak <= QUEUE, f"a device's queue held {peak} bytes"
    return Outcome(error, core.running, peak)
