"""A real source and a real destination with make-believe VFIO devices: one migration between them, proven.

Both run on this machine under TCG. RAM is memory shared with this process and is compared page by page; each
device's bytes are digested by the shim as they leave and as they are loaded. What happened is read off the
shim's log and QEMU's own trace points, so the result has the same parts as one of ``migemu run``.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import MigemuError, PeerError
from migemu.qemu import guest, migration, shim, tracelog
from migemu.qemu.machine import Machine, Setup, running
from migemu.qemu.memory import PAGE, SharedRam
from migemu.qemu.pairlog import PairLog
from migemu.qemu.standin import StandIn
from migemu.qemu.translate import Plan
from migemu.scenario import dilated
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.qemu.binary import Launcher
    from migemu.scenario import Scenario

MARGIN: Final = 60.0
"""Seconds a QEMU may live beyond the migration's own limit before its kill timer ends it."""

AFTER_SOURCE: Final = 10.0
"""Seconds the destination is given to end once the source says that it completed."""

AFTER_FAILURE: Final = 1.0
"""Seconds it is given to say why, once the source failed or gave no answer."""

STATUS_LIMIT: Final = 3.0
"""Seconds one of the last questions may take; a hung destination answers none."""


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How to run a scenario between two QEMUs."""

    source: Launcher
    destination: Launcher
    multifd: bool = True
    """Off: everything goes over the main channel."""
    uri: str = "tcp:127.0.0.1:0"
    """Where the destination listens: tcp with port 0, or ``unix:PATH``."""
    through: Callable[[str], AbstractAsyncContextManager[str]] | None = None
    """Puts something between the two, a tap: from the destination's address to the one to connect to."""
    limit: float = 120.0
    """Seconds the migration may take; the scenario's own total timeout counts where it is shorter."""
    keep_state: bool = False
    """Keep every device's loaded bytes in the run's folder."""
    further: Mapping[str, Mapping[int, Sequence[str]]] = field(default_factory=dict)
    """Lines to add to a side's devices' model.ini, by side and device number."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave."""

    result: Result
    events: list[Event]
    """Both sides', joined."""
    figures: migration.Figures | None
    """The source's own words; None when it did not complete."""
    notes: list[str]
    """What of the scenario QEMU does otherwise."""


@dataclass(slots=True)
class Pair:
    """The pieces of a run."""

    plan: Plan
    options: PairOptions
    folder: Path
    log: PairLog
    rams: dict[str, SharedRam] = field(default_factory=dict)
    standins: dict[str, StandIn] = field(default_factory=dict)
    machines: list[Machine] = field(default_factory=list)
    """Both sides' processes, once they run."""
    threads: NativeThreads = field(default_factory=NativeThreads)

    @property
    def writes(self) -> bool:
        """Whether the guest dirties RAM."""
        return self.plan.scenario.ram.dirty_rate > 0


async def migrate(scenario: Scenario, folder: Path, options: PairOptions) -> Outcome:
    """Migrate `scenario` between two QEMUs.

    A migration that fails gives an outcome that says so.

    Args:
        scenario: what to migrate.
        folder: an existing folder for logs and device folders.
        options: who takes part, and how.

    Raises:
        UsageError: the scenario asks for what QEMU does not have, or the shim cannot be built.
    """
    version = min(options.source.version, options.destination.version)
    plan = Plan(dilated(scenario), version, options.multifd)
    pair = Pair(plan, options, folder, PairLog(scenario, plan.handoff, NativeThreads()))
    figures = None
    with contextlib.ExitStack() as stack:
        _prepare(pair, stack)
        try:
            figures = await _run(pair)
        except MigemuError as error:
            pair.log.failed(error)
        for machine in pair.machines:
            pair.log.ended(machine.name, killed=machine.killed)
        for side in ("source", "destination"):
            pair.log.collect(side, folder / f"{side}.trace", pair.standins[side])
    events, result = pair.log.finish()
    return Outcome(result, events, figures, plan.notes())


def _prepare(pair: Pair, stack: contextlib.ExitStack) -> None:
    """RAM and devices of both sides."""
    ram = pair.plan.scenario.ram
    numbers = range(len(pair.plan.scenario.device))
    kept = [pair.folder / f"state{n}.bin" if pair.options.keep_state else None for n in numbers]
    devices = {
        "source": [pair.plan.source_device(n) for n in numbers],
        "destination": [pair.plan.destination_device(n, kept[n]) for n in numbers],
    }
    for side, files in devices.items():
        pair.standins[side] = StandIn(pair.folder / side, files, pair.options.further.get(side))
        pair.rams[side] = stack.enter_context(SharedRam(ram.total_size()))
    if ram.file is not None:
        pair.rams["source"].load(ram.file)
    else:
        pair.rams["source"].fill(pair.plan.scenario.seed, ram.zero_fraction)


def _setup(pair: Pair, side: str, launcher: Launcher, limit: float) -> Setup:
    """One side's process."""
    ram, devices = pair.rams[side], pair.standins[side]
    machine = f"{pair.plan.machine()},accel=tcg,memory-backend={ram.block}"
    source = side == "source"
    waits = ["-S"] if source else ["-incoming", "defer"]
    rom = guest.firmware(pair.folder / f"{side}.rom", writes=pair.writes, source=source)
    return Setup(
        launcher,
        [
            *("-machine", machine, "-m", f"{ram.size // 1024}k", *ram.backend()),
            *("-nodefaults", "-display", "none", "-uuid", str(pair.plan.scenario.migration_uuid())),
            *(*waits, *rom),
            *tracelog.arguments(pair.folder / f"{side}.trace"),
            *devices.arguments(pair.plan.properties()),
        ],
        pair.folder,
        side,
        preload=shim.build(),
        environment=devices.environment(),
        fds=(ram.fd,),
        kill_after=limit + MARGIN,
    )


@contextlib.asynccontextmanager
async def _both(pair: Pair, limit: float) -> AsyncIterator[tuple[Machine, Machine]]:
    """Source and destination, running and told how to migrate."""
    async with (
        running(_setup(pair, "source", pair.options.source, limit)) as source,
        running(_setup(pair, "destination", pair.options.destination, limit)) as destination,
    ):
        pair.machines = [source, destination]
        for machine in pair.machines:
            await migration.set_capabilities(machine, pair.plan.capabilities())
            await migration.set_parameters(machine, pair.plan.parameters())
        yield source, destination


async def _run(pair: Pair) -> migration.Figures:
    """The migration itself, from two processes to a verdict about their memory."""
    limit = min(pair.options.limit, pair.plan.scenario.timeouts.total)
    async with _both(pair, limit) as (source, destination):
        try:
            address = await migration.listen(destination, pair.options.uri)
            await _start_guest(pair, source)
            through = pair.options.through or contextlib.nullcontext
            async with through(address) as connect:
                await migration.start(source, connect)
                told = await _wait(pair, source, destination, limit)
            _verify_ram(pair)
        finally:
            await _last_states(pair, source, destination)
    return migration.Figures.of(told)


async def _start_guest(pair: Pair, source: Machine) -> None:
    """Let the source's guest run: halting, or writing at the scenario's pace."""
    ram = pair.plan.scenario.ram
    writer = guest.Writer(pair.rams["source"], ram.working_set) if pair.writes else None
    pair.log.begin(pair.threads.now())
    await source.execute("cont")
    if writer is not None:
        await asyncio.to_thread(writer.run_at, ram.dirty_rate, pair.threads)


async def _wait(pair: Pair, source: Machine, destination: Machine, limit: float) -> dict[str, Any]:
    """Until both say that it is over; every side that failed says why.

    Raises:
        PeerError: it did not complete, or a side is gone or stuck.
    """
    told: dict[str, Any] = {}
    failure: PeerError | None = None
    try:
        told = await migration.wait(source, limit)
        migration.require_completed(source, told)
    except PeerError as error:
        failure = error
    try:
        arrived = await migration.wait(destination, AFTER_FAILURE if failure else AFTER_SOURCE)
        migration.require_completed(destination, arrived)
    except PeerError as error:
        if failure is None:
            raise
        pair.log.failed(error)
    if failure is not None:
        raise failure
    return told


def _verify_ram(pair: Pair) -> None:
    """Compare all of RAM; the source's guest is stopped, the destination's changes nothing."""
    differing = pair.rams["source"].differing(pair.rams["destination"])
    detail = f"{len(differing)} pages differ, the first at {differing[0] * PAGE:#x}" if len(differing) else ""
    pair.log.verify("ram", ok=not len(differing), detail=detail)


async def _last_states(pair: Pair, *machines: Machine) -> None:
    """Which side's VM runs, or may run, in the end; a process that is gone has none."""
    now = pair.threads.now()
    for machine in machines:
        with contextlib.suppress(PeerError):
            running, status = await _status(machine)
            pair.log.vm(machine.name, now, running=running, runnable=running or status == "paused")
    pair.log.end(now)


async def _status(machine: Machine) -> tuple[bool, str]:
    told = await machine.execute("query-status", STATUS_LIMIT)
    return bool(told["running"]), str(told["status"])
