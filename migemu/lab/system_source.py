"""The source's channel hand-over as a system: save threads and the migration thread share the channels.

:class:`~migemu.source.channels.SendChannels`, the save threads (:class:`~migemu.source.save.DeviceSaver`) and
their pool are the code that runs on sockets; each socket is an actor that writes what it was given whenever
its turn comes, or fails. RAM is a SYNC on every channel, between the starts of the save threads and their
end, as in the last pass.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from migemu.errors import CancelledMigrationError, ConnectionLostError, InvariantError, MigemuError
from migemu.handoff.choice import choose
from migemu.handoff.models import device_models
from migemu.lab.footprints import declare_abort
from migemu.lab.system_faults import CANCEL, CHANNEL_FAILS, HARMLESS
from migemu.lab.system_payload import CONFIG
from migemu.lab.system_traffic import buffers_of
from migemu.scenario import dump_toml
from migemu.source.channels import Packet, SendChannels
from migemu.source.save import DeviceSaver
from migemu.threads.sync import Abort, Patience, Pool
from migemu.vfio.save import SaveDevice
from migemu.vfio.virtual import VirtualDigest, VirtualSource
from migemu.wire.multifd import DEVICE_HEADER_SIZE, encode_ram_header, sync_packet
from migemu.wire.vfio import VFIO_HEADER, wrap_config

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from migemu.handoff.base import Handoff
    from migemu.scenario import Device, Scenario
    from migemu.threads.controlled import ControlledThreads

SYNC_HEADER = encode_ram_header(sync_packet(0))


@dataclass(frozen=True)
class SourceSetup:
    """What is explored of a source."""

    scenario: Scenario
    channels: type[SendChannels] = SendChannels
    """The hand-over; a mutant of the bug catalogue takes its place."""
    system: type[SourceSystem] | None = None
    """Who looks after the threads, where that is what is changed."""
    name: str = ""
    """Sets two explorations of one scenario apart."""
    syncs: int = 1
    """Passes over RAM while the devices are saved."""
    faultless: bool = False
    """Without a fault of an exploration everything must have left in the end."""

    def text(self) -> str:
        """What a token's hash is made of."""
        return f"source 1\n{self.name}\n{dump_toml(self.scenario)}"

    def __call__(self) -> SourceSystem:
        """A system of its own for one schedule."""
        return (self.system or SourceSystem)(self)

    @cached_property
    def handoff(self) -> type[Handoff]:
        """The design that runs."""
        return choose(self.scenario)

    @cached_property
    def expected(self) -> Counter[str]:
        """Every packet that has to leave, and how often."""
        found = Counter({"SYNC": self.syncs * self.scenario.migration.channels})
        last = int(self.handoff.design.config == "multifd")
        for device in self.scenario.device:
            count = buffers_of(self.scenario, device) + last
            found.update(f"idx {idx} of {device.section_id}" for idx in range(count))
        return +found


class SocketActor:
    """One multifd socket of the source (``source/socketlink.py``): writes what it is given, then says so."""

    def __init__(self, threads: ControlledThreads, system: SourceSystem, channel: int) -> None:
        self._threads = threads
        self._system = system
        self.channel = channel
        self._lock = threads.lock(f"socket {channel}")
        self._given = threads.condition(self._lock, f"socket {channel} has something to write")
        self._packets: deque[Packet] = deque()
        self._closed = False
        self.failed = False

    def start(self, packet: Packet) -> None:
        """From any thread: here is something to write; one thing at a time."""
        with self._lock:
            if self._packets:
                self._system.found(
                    f"channel {self.channel} is given {told(packet)} before it has written the last"
                )
            self._packets.append(packet)
            self._given.notify()

    def run(self) -> None:
        """The socket's life."""
        while (packet := self._next()) is not None:
            if self._threads.choose(CHANNEL_FAILS, 2, f"on channel {self.channel} before {told(packet)}"):
                self.failed = True
                self._system.lost(self.channel)
                return
            self._system.written[told(packet)] += 1
            self._threads.point("socket_written", channel=self.channel, what=told(packet))
            self._system.channels.done(self.channel)

    def _next(self) -> Packet | None:
        with self._lock:
            while not self._packets and not self._closed:
                self._given.wait()
            return self._packets.popleft() if self._packets else None

    def close(self) -> None:
        """The migration is over."""
        with self._lock:
            self._closed = True
            self._given.notify_all()


class SourceSystem:
    """One run of a source's hand-over."""

    def __init__(self, setup: SourceSetup) -> None:
        self.setup = setup
        self.written: Counter[str] = Counter()
        self.broken: str | None = None
        self.ended = False

    def build(self, threads: ControlledThreads) -> None:
        """Spawn the migration thread and the sockets, and state the invariants."""
        self.threads = threads
        self.abort = Abort(threads)
        declare_abort(threads, self.abort)
        patience = self.patience = Patience(threads, None)
        count = self.setup.scenario.migration.channels
        self.sockets = [SocketActor(threads, self, channel) for channel in range(count)]
        self.channels = self.setup.channels(threads, self.abort, patience, self.sockets)
        self.pool = Pool(threads, self.abort, "save threads")
        self.savers = [self._saver(device) for device in self._devices()]
        threads.invariant("one-packet-a-channel", lambda: self.broken)
        threads.spawn("migration", self._migrate)
        for socket in self.sockets:
            threads.spawn(f"socket {socket.channel}", socket.run)
        if CANCEL in threads.engine.rules.faults:
            threads.spawn("person", self._person)

    def _person(self) -> None:
        """Somebody may end the migration, at any moment."""
        self.threads.turn()
        if self.threads.choose(CANCEL, 2, ""):
            self.abort.set(CancelledMigrationError("cancelled by a person"))

    def _devices(self) -> Iterable[SaveDevice]:
        models = device_models(self.setup.scenario)
        for device, model in zip(self.setup.scenario.device, models, strict=True):
            source = VirtualSource(model.name, self._size(device))
            yield SaveDevice(model, source, self.threads, VirtualDigest, config=CONFIG)

    def _size(self, device: Device) -> int:
        return buffers_of(self.setup.scenario, device) * self.setup.scenario.migration.packet_size

    def _saver(self, device: SaveDevice) -> DeviceSaver:
        size = self.setup.scenario.migration.packet_size
        design = self.setup.handoff.design
        return DeviceSaver(self.threads, design, self.channels, device, size, wrap_config)

    def _migrate(self) -> None:
        """The migration thread's body, as :class:`~migemu.source.switchover.Switchover` does it."""
        try:
            self._send()
        except MigemuError as error:
            self.abort.set(error)
        self._end()

    def _send(self) -> None:
        for saver in self.savers:
            self.pool.submit(f"save {saver.device.model.name}", saver.run)
        for _ in range(self.setup.syncs):
            for _ in self.channels.send_on_each(lambda _: Packet(SYNC_HEADER, None)):
                pass
        self.pool.wait(self.patience)
        self.channels.drain()

    def _end(self) -> None:
        """Join the save threads, let go of the sockets, and look at what has left."""
        if not self.pool.join(math.inf):
            raise InvariantError("a save thread did not end", invariant="ends")
        for socket in self.sockets:
            socket.close()
        self.ended = True
        if self.abort.error is None and self.written != self.setup.expected:
            raise InvariantError(self._difference(), invariant="data-intact")
        if self.setup.faultless and self.abort.error is not None and not self._faults_had():
            told = f"nothing went wrong, but the migration failed: {self.abort.error}"
            raise InvariantError(told, invariant="ends")

    def _faults_had(self) -> bool:
        """Whether a fault was decided that a migration may fail for."""
        engine = self.threads.engine
        return not engine.rules.faults <= HARMLESS and engine.faults_had() > 0

    def _difference(self) -> str:
        missing, more = self.setup.expected - self.written, self.written - self.setup.expected
        parts = [f"never written: {', '.join(sorted(missing))}"] if missing else []
        return "; ".join(parts + ([f"written too often: {', '.join(sorted(more))}"] if more else []))

    def lost(self, channel: int) -> None:
        """A connection failed; what the session does then."""
        self.abort.set(ConnectionLostError("connection failed: reset by peer", channel=channel))

    def found(self, wrong: str) -> None:
        """Remember the first thing that is wrong, for the invariant to say."""
        self.broken = self.broken or wrong

    def final(self) -> Hashable:
        """How it ended."""
        return self.ended, str(self.abort.error), tuple(sorted(self.written.items()))


def told(packet: Packet) -> str:
    """What a packet is, from its header."""
    if len(packet.header) == len(SYNC_HEADER):
        return "SYNC"
    device = packet.header[12 : packet.header.index(b"\0", 12)].decode()
    return f"idx {VFIO_HEADER.unpack_from(packet.header, DEVICE_HEADER_SIZE)[1]} of {device}"
