"""The destination as a system under exploration: production's own core on controlled threads.

Incoming thread, hand-off design, reassembly, load threads, SYNC barrier, finish and cleanup are the code that
runs on sockets; the environment is played by actors (:mod:`migemu.lab.system_actors`), one for each multifd
channel, one for the main channel, one for the session. Payloads are virtual, RAM is empty unless a scenario
wants a page, waits have no time limit: a hang is a hang.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from migemu.destination.build import flow_of
from migemu.destination.plan import Plan
from migemu.handoff.choice import choose
from migemu.handoff.models import device_models, platform_of
from migemu.lab.footprints import declare, declare_abort, declare_session
from migemu.lab.system_actors import ChannelActor, MainActor, Session, User
from migemu.lab.system_checks import Watchman, digest_of
from migemu.lab.system_faults import CANCEL, HARMLESS, DecidingSink
from migemu.lab.system_parts import PRODUCTION
from migemu.lab.system_payload import span_of
from migemu.lab.system_queue import BurstQueue
from migemu.lab.system_traffic import buffers_of, traffic_of
from migemu.ram import GuestRam
from migemu.scenario import dump_toml
from migemu.vfio.virtual import VirtualDigest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from migemu.destination.core import Core
    from migemu.handoff.base import Handoff
    from migemu.lab.system_parts import Parts
    from migemu.lab.system_traffic import Traffic
    from migemu.scenario import Scenario
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.sync import Bql
    from migemu.vfio.content import Span
    from migemu.vfio.load import LoadDevice
    from migemu.vfio.model import DeviceModel


@dataclass(frozen=True)
class Setup:
    """What is explored; made once, and from it a system for every schedule."""

    scenario: Scenario
    parts: Parts = PRODUCTION
    traffic: Traffic | None = None
    """What is sent; None for what the scenario's source sends."""
    ignored: frozenset[str] = frozenset()
    """Invariants that are not looked at."""
    bound: int | None = None
    """Bytes that may be queued of a device; None for what the scenario's cap says."""
    ram: bytes = b""
    """What guest RAM holds in the end: the first byte of each page."""
    name: str = ""
    """Sets two explorations of one scenario apart: a bug's broken variant from the correct one."""
    session: type[Session] = Session
    """Who owns the connections and cleans up."""
    faultless: bool = False
    """What is sent is right and complete: without a fault of an exploration the VM must run in the end."""
    opaque: bool = False
    """The search takes every two sections under one lock for a clash; to compare it with itself."""
    watch: Callable[[ControlledThreads, Core], None] | None = field(default=None, compare=False)
    """Registers further invariants, or attributes to be watched."""

    def text(self) -> str:
        """What a token's hash is made of."""
        return f"destination 1\n{self.name}\n{dump_toml(self.scenario)}"

    def __call__(self) -> DestinationSystem:
        """A system of its own for one schedule."""
        return DestinationSystem(self)

    @cached_property
    def handoff(self) -> type[Handoff]:
        """The design that runs."""
        return self.parts.handoff or choose(self.scenario)

    @cached_property
    def sent(self) -> Traffic:
        """All that the source sends."""
        return self.traffic or traffic_of(self.scenario, self.handoff.design)

    @cached_property
    def models(self) -> list[DeviceModel]:
        """The devices."""
        return device_models(self.scenario)

    @cached_property
    def most_queued(self) -> float:
        """Bytes that may be queued of a device: with back-pressure the needed buffer and a config on top."""
        limits, one = self.scenario.limits, self.scenario.migration.packet_size
        if self.bound is not None:
            return self.bound
        if limits.queue_per_device is None:
            return math.inf
        return limits.queue_per_device + (2 * one if limits.on_cap == "pause" else 0)

    @cached_property
    def contents(self) -> dict[str, str]:
        """What each device has taken when everything is in: section id to digest."""
        return {
            device.section_id: digest_of(self._spans(number))
            for number, device in enumerate(self.scenario.device)
        }

    def _spans(self, number: int) -> list[Span]:
        device = self.scenario.device[number]
        size = self.scenario.migration.packet_size
        before = [span_of(f"{device.section_id} pre-copy", 0)] if device.precopy else []
        return before + [
            span_of(device.section_id, idx, size) for idx in range(buffers_of(self.scenario, device))
        ]


class DestinationSystem:
    """One run of a destination."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.replies: list[bytes] = []
        self.actors: list[ChannelActor] = []
        self._told = setup.parts.untouched and setup.watch is None and not setup.opaque

    def build(self, threads: ControlledThreads) -> None:
        """Spawn the incoming thread and the environment, and state the invariants."""
        setup = self.setup
        self.core = setup.parts.core(self._plan(threads), self.replies.append, self._release("sync"))
        self.core.machine.on_idle = self._release("receive thread")
        self.watchman = Watchman(self.core, setup)
        self.watchman.install(threads)
        queue = BurstQueue.of(self.core.queue)
        queue.lay(setup.sent.prelude)
        if self._told:
            declare(threads, self.core, queue, setup.sent.most)
        self._spawn(threads, queue)
        if setup.watch is not None:
            setup.watch(threads, self.core)
        declare_abort(threads, self.core.abort)

    def _spawn(self, threads: ControlledThreads, queue: BurstQueue) -> None:
        core = self.core
        self.actors = [ChannelActor(threads, core, n, row) for n, row in enumerate(self.setup.sent.channels)]
        main = MainActor(threads, core, queue, self.setup.sent.main)
        tasks: list[Any] = []
        session = self.session = self.setup.session(threads, core, tasks, lambda: self._close(main))
        if self._told:
            declare_session(threads, session)
        core.start(session.done)
        tasks.append(threads.spawn("main channel", main.run))
        tasks += [threads.spawn(f"channel {n}", actor.run) for n, actor in enumerate(self.actors)]
        if CANCEL in threads.engine.rules.faults:
            tasks.append(threads.spawn("person", User(threads, core).run))
        threads.spawn("session", lambda: self._session(threads))

    def _session(self, threads: ControlledThreads) -> None:
        self.session.run()
        harmless = threads.engine.rules.faults <= HARMLESS or not threads.engine.faults_had()
        self.watchman.check_end(faultless=self.setup.faultless and harmless)

    def _close(self, main: MainActor) -> None:
        main.close()
        for actor in self.actors:
            actor.close()

    def _release(self, reason: str) -> Callable[[int], None]:
        return lambda channel: self.actors[channel].release(reason)

    def _plan(self, threads: ControlledThreads) -> Plan:
        setup, scenario = self.setup, self.setup.scenario
        platform, kind = platform_of(scenario, setup.handoff.design), setup.parts.device

        def devices(bql: Bql) -> list[LoadDevice]:
            return [
                kind(model, DecidingSink(threads, model.name), threads, bql.lock, platform, VirtualDigest)
                for model in setup.models
            ]

        flow, limits = flow_of(scenario, threads, self._release("queue cap"))
        plan = Plan(
            threads=threads,
            channels=scenario.migration.channels,
            machine_name=scenario.machine,
            handoff=setup.handoff,
            ram=GuestRam.of_size(scenario.ram.total_size()),
            platform=platform,
            patience=None,
            limits=limits,
            flow=flow,
            interrupt_controller_load_time=scenario.platform.interrupt_controller_load_time,
            devices=devices,
        )
        return setup.parts.put_into(plan)

    def final(self) -> Hashable:
        """How it ended: whether the VM runs, the error, what each device has."""
        error = self.core.abort.error
        devices = tuple(
            (slot.device.next_idx, slot.device.config_digest is not None)
            for slot in self.core.machine.slots.values()
        )
        return self.core.running, None if error is None else error.message, devices
