"""A destination whose source may be a real QEMU.

Two ways to get there. ``auto`` expects what the scenario says, like any destination, and looks at the
source's first words to see what it is. ``qemu`` knows, and expects nothing: RAM, devices, machine and the
number of channels are the source's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from migemu.destination.barrier import SyncBarrier
from migemu.destination.build import flow_of
from migemu.destination.session import TICK, Session
from migemu.errors import ConnectionLostError, LimitError, PeerTimeoutError, WireError
from migemu.handoff.choice import say
from migemu.handoff.machine_types import machine_type
from migemu.qemu import receive_check as check
from migemu.qemu.peer import OpeningProtocol
from migemu.qemu.receive_ack import Acks
from migemu.qemu.receive_core import QemuCore, QemuFinish, QemuPlan
from migemu.qemu.receive_devices import Devices, Gathering, check_usable, chosen
from migemu.qemu.receive_incoming import QemuIncoming
from migemu.qemu.receive_keep import Keep
from migemu.qemu.receive_open import OpenReception, Wishes
from migemu.qemu.receive_pages import PagesProtocol
from migemu.ram import GuestRam
from migemu.wire.mainreader import MainReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.destination.core import Core
    from migemu.destination.greeter import Greeter
    from migemu.handoff.base import Handoff
    from migemu.link.order_follow import Follow
    from migemu.link.order_tape import Tapes
    from migemu.qemu.peer import Opening
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.wire.multifd import DevicePacketHeader

__all__ = ["QemuSession", "Wishes"]

SETTLE: Final = 0.15
"""Seconds without a new channel after which those that came are all. A source writes the setup's barrier only
when every channel is connected and has written its SYNC: they are here, or in the listener's queue."""


class QemuSession(Session):
    """A destination that takes one migration, from a migemu or a QEMU.

    Args:
        scenario: already dilated.
        threads: the concurrency seam, its sink installed.
        wishes: what is known of the source, what to verify and to keep.
        tapes: where every connection is recorded, if it is.
        follow: the recorded order that packets keep to, if there is one.

    Raises:
        UsageError: the scenario's hand-off is not one a QEMU can take part in.
    """

    def __init__(
        self,
        scenario: Scenario,
        threads: Threads,
        wishes: Wishes | None = None,
        tapes: Tapes | None = None,
        follow: Follow | None = None,
    ) -> None:
        self._wishes = wishes or Wishes()
        if self._wishes.peer == "qemu":
            check_usable(scenario.handoff)
        super().__init__(scenario, threads, tapes, follow)
        self._open = OpenReception(scenario, threads, lambda: self.core.running, self._wishes)
        self._reception = self._open
        self._keep = Keep(self._wishes.save) if self._wishes.save is not None else None
        self._opening: Opening | None = None
        self._main_reader: MainReader | None = None

    # who is there

    async def _wait_for_source(self) -> None:
        if self._wishes.peer == "qemu":
            await self._wait_for_main()
        else:
            await super()._wait_for_source()
        opening = self._opening = await self._read_opening()
        if opening.migemu:
            self._check_migemu()
            return
        check_usable(self._scenario.handoff)
        channels = await self._settle(opening)
        self._become(opening, channels)

    async def _wait_for_main(self) -> None:
        end = self._loop.time() + self._scenario.timeouts.connect
        while "main" not in self._reception.places:
            await asyncio.sleep(TICK / 10)
            self.core.abort.check()
            if self._loop.time() >= end:
                limit = f"timeouts.connect = {self._scenario.timeouts.connect:g} s"
                raise PeerTimeoutError(f"no source within {limit}", phase="connect")

    async def _read_opening(self) -> Opening:
        greeter: Greeter = self._reception.places["main"]
        transport = greeter.transport
        assert transport is not None  # noqa: S101  it was read from
        self._main_reader = MainReader(self._pool, self._limits)
        protocol = OpeningProtocol(transport, self._main_reader)
        protocol.begin()
        seconds = self._scenario.timeouts.setup
        try:
            return await asyncio.wait_for(protocol.done, seconds)
        except TimeoutError:
            told = f"the source did not set up its RAM within timeouts.setup = {seconds:g} s"
            raise PeerTimeoutError(told, channel="main", phase="setup") from None

    def _check_migemu(self) -> None:
        """A migemu says the scenario's uuid, and this side must know what comes."""
        if self._wishes.peer == "qemu":
            raise WireError("the source is a migemu: leave --peer out", channel="main")
        if not self._reception.complete.done():  # one went away while the first words were read
            raise ConnectionLostError(f"closed during setup: {self._reception.missing()}", phase="setup")
        ours = self._scenario.migration_uuid().bytes
        if self._open.uuid not in (None, ours):
            raise WireError("the source is a migemu, yet its hellos say no uuid")

    async def _settle(self, opening: Opening) -> int:
        """Wait until every multifd channel is here; how many there are.

        Raises:
            PeerTimeoutError: one does not come.
        """
        modern = opening.version.flush_word and opening.machine not in ("none", "")
        if not opening.flush and modern:
            return 0
        end = self._loop.time() + self._scenario.timeouts.arrival
        seen, since = -1, self._loop.time()
        while not self._settled(opening, since):
            await asyncio.sleep(TICK / 10)
            self.core.abort.check()
            if self._open.count() != seen:
                seen, since = self._open.count(), self._loop.time()
            if self._loop.time() >= end:
                limit = f"timeouts.arrival = {self._scenario.timeouts.arrival:g} s"
                raise PeerTimeoutError(f"{seen} multifd channels came within {limit}", phase="connect")
        return self._open.count()

    def _settled(self, opening: Opening, since: float) -> bool:
        count, wanted = self._open.count(), self._wishes.channels
        if wanted is not None and (count or opening.flush):
            return count == wanted and self._open.whole()
        quiet = self._loop.time() - since >= SETTLE
        return quiet and self._open.whole() and (count > 0 or not opening.flush)

    def _takes_turns(self, greeter: Greeter) -> bool:
        """A QEMU leaves its send buffers to the kernel."""
        return self._opening is not None and self._opening.migemu and super()._takes_turns(greeter)

    # what it becomes

    def _become(self, opening: Opening, channels: int) -> None:
        """The source is a QEMU: be what it needs."""
        for slot in self.core.machine.slots.values():
            slot.device.close()
        said = opening.uuid if opening.uuid is not None else self._open.uuid if channels else None
        ours = self._scenario.uuid.bytes if self._scenario.uuid is not None else None
        if ours is not None and said not in (None, ours):
            raise WireError("the stream is of another VM: its uuid is not this side's", channel="main")
        self.core = self._make_core(self._plan(opening, channels), QemuCore)
        self._threads.point("peer", what="qemu", machine=opening.machine, channels=channels)

    def _plan(self, opening: Opening, channels: int) -> QemuPlan:
        threads = self._threads
        migration = self._scenario.migration.model_copy(update={"channels": channels})
        scenario = self._scenario.model_copy(update={"migration": migration})
        flow, limits = flow_of(scenario, threads, lambda channel: self._release(channel, "queue cap"))
        devices = Devices(scenario, threads, self._keep)
        return QemuPlan(
            threads=threads,
            channels=channels,
            machine_name=opening.machine,
            handoff=Gathering,
            ram=self._ram(opening),
            platform=devices.platform,
            patience=scenario.timeouts.phase,
            limits=limits,
            flow=flow,
            interrupt_controller_load_time=0.0,
            devices=lambda _: [],
            queue_main=scenario.limits.queue_main,
            max_commands=scenario.limits.max_commands,
            incoming=QemuIncoming,
            finish=QemuFinish,
            barrier=SyncBarrier,
            flush_word=opening.flush or not channels,
            acks=Acks(machine_type(opening.machine), wanted=scenario.migration.switchover_ack),
            make_device=devices.make,
            choose=lambda multifd: self._choose(opening, multifd=multifd),
            check=self._verdicts,
            keep=self._keep,
        )

    def _ram(self, opening: Opening) -> GuestRam:
        total, most = sum(block.used_length for block in opening.blocks), self._scenario.limits.max_ram
        if total > most:
            told = f"the source has {total} bytes of RAM, above limits.max_ram = {most}"
            raise LimitError(told, limit="limits.max_ram", channel="main")
        return GuestRam([(block.id, block.used_length) for block in opening.blocks])

    def _choose(self, opening: Opening, *, multifd: bool) -> type[Handoff]:
        kind = chosen(self._scenario.handoff, opening.machine, multifd=multifd)
        say(self._threads, self._scenario.model_copy(update={"machine": opening.machine}), kind)
        return kind

    def _verdicts(self, core: Core) -> Iterator[check.Verdict]:
        wishes = self._wishes
        if wishes.verify_ram is not None:
            yield check.check_ram(core.memory.ram, wishes.verify_ram, wishes.ram_block)
        if wishes.verify_devices is not None:
            contents = check.contents(wishes.verify_devices)
            for slot in core.machine.slots.values():
                yield check.check_device(slot.device, contents.get(slot.name), self._scenario.digest)

    # the connections

    def _admission(self, channel: int) -> Any:
        """A device's packet may overtake its section on the main channel: it waits at the door."""
        rule = super()._admission(channel)
        core = self.core
        if not isinstance(core, QemuCore):
            return rule

        def admit(header: DevicePacketHeader) -> bool:
            if core.is_known(header.device):
                return rule is None or bool(rule(header))
            core.when_known(header.device, lambda: self._release(channel, "queue cap"))
            return False

        return admit

    def _adopt_main(self, transport: asyncio.Transport, *, secure: bool) -> None:
        core, opening, reader = self.core, self._opening, self._main_reader
        assert opening is not None  # noqa: S101  nothing starts before it
        assert reader is not None  # noqa: S101  it was read with
        main = PagesProtocol(transport, reader, core.queue, core.patience, self._main_ended, secure=secure)
        self._main = main
        transport.set_protocol(main)
        main.begin(opening.records)
        transport.resume_reading()
