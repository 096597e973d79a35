"""One virtual run: a scenario in, events and a result out, the same for the same seed every time."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from migemu.destination.build import make_plan
from migemu.destination.channel import RECEIVE_THREAD
from migemu.destination.core import Core
from migemu.errors import ConfigError, ConnectionLostError, MigemuError
from migemu.handoff.choice import choose
from migemu.handoff.models import device_models
from migemu.lab.runner import Measured
from migemu.lab.virtual.channels import VirtualChannel
from migemu.lab.virtual.jitter import Draws, HeldLock, VaryingLink, VaryingLoad, VaryingSave
from migemu.lab.virtual.main import VirtualMain, VirtualStream
from migemu.lab.virtual.memory import VirtualGuest, VirtualMemory, VirtualRamSender
from migemu.lab.virtual.side import SideThreads
from migemu.link.pacing import Pacer
from migemu.observe.events import EventLog
from migemu.observe.join import join
from migemu.observe.recorder import make_result
from migemu.observe.result import RunEnd
from migemu.source.channels import SendChannels
from migemu.source.mainwriter import MainWriter
from migemu.source.migration import Migration, Parts
from migemu.source.returnpath import ReturnPath
from migemu.source.vm import SourceVm
from migemu.threads.controlled_ordered import OrderedThreads, run_ordered
from migemu.threads.sync import Abort, Bql, Patience, Pool
from migemu.vfio.generated import generated_bytes
from migemu.vfio.virtual import VirtualDigest, VirtualSink, VirtualSource
from migemu.wire import extension, returnpath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.destination.plan import Plan
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.vfio.load import LoadDevice
    from migemu.vfio.save import SaveDevice

JOIN_SECONDS = 3600.0
"""Virtual seconds threads have to end; none of them costs anything."""


class VirtualCore(Core):
    """The destination, its memory only said to exist."""

    def make_memory(self) -> Any:
        """Counts instead of pages."""
        return VirtualMemory(self.plan.ram.size)


class VirtualRun:
    """Both sides of one migration on `threads`.

    Args:
        scenario: its times and rates are virtual, so dilation is ignored.
        threads: of an ordered, virtual-time engine.
        logs: the source's and the destination's event log.
    """

    def __init__(self, scenario: Scenario, threads: OrderedThreads, logs: tuple[EventLog, EventLog]) -> None:
        self._scenario = scenario
        self._threads = threads
        self._draws = Draws(scenario)
        self._source = self._side(logs[0])
        self._destination = self._side(logs[1])
        link = scenario.link
        pacer = VaryingLink(self._draws, link.rate, link.per_channel, link.delay)
        self._main = VirtualMain(threads, pacer)
        self._channels = [
            VirtualChannel(threads, number, pacer) for number in range(scenario.migration.channels)
        ]
        self._core = self._make_destination()
        self._parts, self._abort = self._make_source()
        self._lock = threads.lock("run")
        self._changed = threads.condition(self._lock, "run")
        self._ended = 0

    def _side(self, log: EventLog) -> SideThreads:
        """The threads of one side, with locks that cost something where the scenario says so."""
        hold, threads = self._scenario.virtual.lock_hold, self._threads
        if not hold:
            return SideThreads(threads, log)
        row = f"{log.side} {{}}".format
        return SideThreads(
            threads,
            log,
            lambda name: HeldLock(threads.engine, name, hold, self._draws.of("lock", row(name))),
        )

    def _make_destination(self) -> Core:
        core = VirtualCore(self._plan(), self._main.reply, lambda c: self._release(c, "sync"))
        core.machine.on_idle = lambda channel: self._release(channel, RECEIVE_THREAD)
        core.queue.on_room = self._main.has_room
        core.abort.on_abort(self._say_failure)
        self._main.core = core
        for channel in self._channels:
            channel.core = core
        return core

    def _plan(self) -> Plan:
        scenario, threads = self._scenario, self._destination
        small = scenario.ram.model_copy(update={"size": 0, "file": None})
        plan = make_plan(
            scenario.model_copy(update={"ram": small}), threads, lambda c: self._release(c, "queue cap")
        )
        plan.ram.size = scenario.ram.total_size()

        def devices(bql: Bql) -> list[LoadDevice]:
            return [
                VaryingLoad(
                    self._draws, model, VirtualSink(), threads, bql.lock, plan.platform, VirtualDigest
                )
                for model in device_models(scenario)
            ]

        return replace(plan, devices=devices)

    def _make_source(self) -> tuple[Parts, Abort]:
        scenario, threads = self._scenario, self._source
        abort = Abort(threads)
        patience = Patience(threads, scenario.timeouts.total, "timeouts.total")
        channels = SendChannels(threads, abort, patience, self._channels)
        writer = MainWriter(threads, abort, patience, self._main)
        returns = ReturnPath(threads, abort, patience, scenario.limits.max_commands)
        self._main.writer, self._main.returns = writer, returns
        for channel in self._channels:
            channel.channels = channels
        guest: Any = VirtualGuest(scenario, threads)
        devices = make_devices(scenario, threads, self._draws)
        rate = scenario.migration.max_bandwidth
        ram: Any = VirtualRamSender(scenario, threads, guest, channels, Pacer(rate) if rate else None)
        parts = Parts(
            scenario=scenario,
            design=choose(scenario).design,
            threads=threads,
            abort=abort,
            patience=patience,
            pool=Pool(threads, abort, "save threads"),
            main=writer,
            returns=returns,
            channels=channels,
            vm=SourceVm(threads, guest, devices),
            ram=ram,
            stream=VirtualStream(writer, scenario.machine, scenario.migration_uuid().bytes, devices),
            peer_state=lambda: "running" if self._core.running else "gone",
        )
        return parts, abort

    def begin(self) -> None:
        """Start both sides; the run ends when all threads have."""
        self._parts.vm.start()
        self._core.start(self._one_ended)
        for channel in self._channels:
            channel.release("setup")
        self._threads.spawn("migration", self._migrate)
        self._threads.spawn("end", self._end)

    def _migrate(self) -> None:
        Migration(self._parts).run()
        if self._abort.error is not None:
            self._main.end(ConnectionLostError("closed by the source", channel="main"))
        self._one_ended()

    def _one_ended(self) -> None:
        with self._lock:
            self._ended += 1
            self._changed.notify_all()

    def _end(self) -> None:
        """Both sides are done: let go of channels, threads and devices."""
        with self._lock:
            while self._ended < 2:
                self._changed.wait()
        for channel in self._channels:
            channel.close()
        self._main.close()
        self._core.cleanup(JOIN_SECONDS)
        self._parts.pool.join(JOIN_SECONDS)
        self._parts.vm.shut_down()

    def _release(self, channel: int, reason: str) -> None:
        self._channels[channel].release(reason)

    def _say_failure(self, error: MigemuError) -> None:
        """The destination's last words."""
        reason = str(error).encode()[: returnpath.MAX_DATA]
        self._main.reply(returnpath.encode(extension.RP_FAILED, reason))
        self._main.has_room()
        self._abort.set(error)
        for channel in self._channels:
            channel.close()


def make_devices(scenario: Scenario, threads: Threads, draws: Draws) -> list[SaveDevice]:
    """The source's devices, their state only said to exist."""
    return [
        VaryingSave(
            draws,
            model,
            VirtualSource(model.name, device.stop_copy_size()),
            threads,
            VirtualDigest,
            config=generated_bytes(model.seed, device.config_data_size()),
            precopy=VirtualSource(f"{model.name} precopy", 1 << 62),
        )
        for model, device in zip(device_models(scenario), scenario.device, strict=True)
    ]


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A run makes hundreds of thousands of events and throws nothing away: looking for garbage is in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def run_virtual(scenario: Scenario) -> Measured:
    """Migrate `scenario` in virtual time.

    Raises:
        ConfigError: the scenario cannot be run as it is.
    """
    if scenario.order:
        raise ConfigError("order rules act on real connections, and a virtual run has none")
    logs = EventLog("source", scenario.limits.events), EventLog("destination", scenario.limits.events)
    reasons: tuple[str, ...] = ()
    with no_garbage_collection():
        try:
            run_ordered(
                lambda threads: VirtualRun(scenario, threads, logs).begin(),
                max_seconds=scenario.timeouts.total,
            )
        except MigemuError as error:
            reasons = (str(error),)
        return _measured(scenario, logs, reasons)


def _measured(scenario: Scenario, logs: tuple[EventLog, EventLog], reasons: tuple[str, ...]) -> Measured:
    """What both sides' logs say."""
    joined = join(logs[0].events(), logs[1].events(), offset=0.0)  # there is one clock
    failed = bool(reasons) or any(event.event == "error" for event in joined)
    code = int(failed)
    end = RunEnd(exit_code=code, reasons=reasons, exits={"source": code, "destination": code})
    outcome = make_result(scenario, joined, end)
    return Measured(outcome.model_copy(update={"virtual": True}), joined)


def virtual_runner(scenario: Scenario) -> Measured:
    """A :class:`~migemu.lab.runner.Runner` on the virtual clock."""
    return run_virtual(scenario)
