"""A real source and a real destination with make-believe VFIO devices: one migration between them, proven.

Both run on this machine under TCG. RAM is memory shared with this process and is compared page by page; each
device's bytes are digested by the shim as they leave and as they are loaded. What happened is read off the
shim's log and QEMU's own trace points, so the result has the same parts as one of ``migemu run``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import MigemuError, PeerError, UsageError
from migemu.qemu import migration
from migemu.qemu.memory import PAGE
from migemu.qemu.pairlog import PairLog
from migemu.qemu.side import QemuSide
from migemu.qemu.translate import Plan
from migemu.scenario import dilated
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.qemu.binary import Launcher
    from migemu.qemu.board import Board
    from migemu.qemu.machine import Machine
    from migemu.scenario import Scenario

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

    def board(self) -> Board:
        """Both sides' machine.

        Raises:
            UsageError: they are of two targets.
        """
        source, destination = self.source.board, self.destination.board
        if source is not destination:
            told = f"{source.target} and a destination of {destination.target}"
            raise UsageError(f"a QEMU source of {told} cannot migrate")
        return source


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

    options: PairOptions
    source: QemuSide
    destination: QemuSide
    log: PairLog
    machines: list[Machine] = field(default_factory=list)
    """Both sides' processes, once they run."""
    threads: NativeThreads = field(default_factory=NativeThreads)


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
    plan = Plan(dilated(scenario), version, options.multifd, board=options.board())
    source = QemuSide.prepare("source", options.source, plan, folder, further=options.further.get("source"))
    destination = QemuSide.prepare(
        "destination",
        options.destination,
        plan,
        folder,
        keep_state=options.keep_state,
        further=options.further.get("destination"),
    )
    with source, destination:
        pair = Pair(
            options, source, destination, PairLog(scenario, plan.handoff, NativeThreads(), plan.board)
        )
        figures = await _guarded(pair, min(options.limit, plan.scenario.timeouts.total))
    events, result = pair.log.finish()
    return Outcome(result, events, figures, plan.notes())


async def _guarded(pair: Pair, limit: float) -> migration.Figures | None:
    """Run; whatever comes of it, collect what both sides left behind."""
    figures = None
    try:
        figures = await _run(pair, limit)
    except UsageError:
        raise
    except MigemuError as error:
        pair.log.failed(error)
    for machine in pair.machines:
        pair.log.ended(machine.name, killed=machine.killed)
    for side in (pair.source, pair.destination):
        pair.log.collect(side.name, side.trace, side.standin)
    return figures


async def _run(pair: Pair, limit: float) -> migration.Figures:
    """The migration itself, from two processes to a verdict about their memory."""
    through = pair.options.through or contextlib.nullcontext
    async with pair.source.running(limit) as source, pair.destination.running(limit) as destination:
        pair.machines = [source, destination]
        try:
            address = await migration.listen(destination, pair.options.uri)
            pair.log.begin(pair.threads.now())
            await pair.source.start_guest(source, pair.threads)
            async with through(address) as connect:
                await migration.start(source, connect)
                told = await _wait(pair, source, destination, limit)
            _verify_ram(pair)
        finally:
            await _last_states(pair, source, destination)
    return migration.Figures.of(told)


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
    differing = pair.source.ram.differing(pair.destination.ram)
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
