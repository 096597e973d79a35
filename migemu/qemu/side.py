"""One QEMU of a migration: its RAM, its make-believe devices, how it is started and told what to do.

A pair has two of these; where the other side is migemu itself, or a tap's, one is enough.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from migemu.qemu import guest, guest_arm, migration, shim, tracelog
from migemu.qemu.board import VIRT
from migemu.qemu.machine import Machine, Setup, running
from migemu.qemu.memory import SharedRam
from migemu.qemu.standin import StandIn
from migemu.qemu.tracetable import SECTION_POINTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.translate import Plan
    from migemu.scenario import Side
    from migemu.threads.api import Threads

MARGIN: Final = 60.0
"""Seconds a QEMU may live beyond the migration's own limit before its kill timer ends it."""


@dataclass(slots=True)
class QemuSide:
    """A source or a destination, made by :meth:`prepare`; a context that gives its RAM back."""

    name: Side
    launcher: Launcher
    plan: Plan
    folder: Path
    """Where its logs, its firmware and its devices' folder are."""
    ram: SharedRam
    """A source's is filled with the scenario's content."""
    standin: StandIn

    @classmethod
    def prepare(
        cls,
        name: Side,
        launcher: Launcher,
        plan: Plan,
        folder: Path,
        *,
        keep_state: bool = False,
        further: Mapping[int, Sequence[str]] | None = None,
    ) -> Self:
        """Lay out everything the process needs; nothing is started.

        Args:
            name: which side it is.
            launcher: the QEMU.
            plan: the scenario in QEMU's words.
            folder: an existing folder; both sides of a run may share it.
            keep_state: a destination keeps the bytes loaded into device N as ``stateN.bin`` in `folder`.
            further: lines to add to a device's model.ini, by its number.

        Raises:
            ConfigError: more devices than fit, or a RAM size QEMU cannot have.
        """
        numbers = range(len(plan.scenario.device))
        if name == "source":
            devices = [plan.source_device(n) for n in numbers]
        else:
            kept = [folder / f"state{n}.bin" if keep_state else None for n in numbers]
            devices = [plan.destination_device(n, kept[n]) for n in numbers]
        standin = StandIn(folder / name, devices, further)
        asked = plan.scenario.ram
        ram = SharedRam(asked.total_size(), plan.board.block)
        if name == "source" and asked.file is not None:
            ram.load(asked.file)
        elif name == "source":
            ram.fill(plan.scenario.seed, asked.zero_fraction)
        return cls(name, launcher, plan, folder, ram, standin)

    @property
    def writes(self) -> bool:
        """Whether the source's guest dirties RAM."""
        return self.plan.scenario.ram.dirty_rate > 0 and self.plan.board.writes

    @property
    def trace(self) -> Path:
        """QEMU's log of its trace points."""
        return self.folder / f"{self.name}.trace"

    def setup(self, limit: float) -> Setup:
        """The process; `limit` is how long the migration may take, in seconds."""
        machine = f"{self.plan.machine()},accel=tcg,memory-backend={self.ram.block}"
        source = self.name == "source"
        return Setup(
            self.launcher,
            [
                *("-machine", machine, "-m", f"{self.ram.size // 1024}k", *self.ram.backend()),
                *("-nodefaults", "-display", "none", "-uuid", str(self.plan.scenario.migration_uuid())),
                *(["-S"] if source else ["-incoming", "defer"]),
                *(*self._firmware(), *tracelog.arguments(self.trace, *self._sections())),
                *self.standin.arguments(self.plan.properties()),
            ],
            self.folder,
            self.name,
            preload=shim.build() if self.standin.devices else None,
            environment=self.standin.environment(),
            fds=(self.ram.fd,),
            kill_after=limit + MARGIN,
        )

    def _firmware(self) -> list[str]:
        """The guest."""
        image = self.folder / f"{self.name}.rom"
        if self.plan.board is VIRT:
            return guest_arm.firmware(image)
        return guest.firmware(image, writes=self.writes, source=self.name == "source")

    def _sections(self) -> tuple[str, ...]:
        """Trace points that tell when the interrupt controller is in, where that matters."""
        return SECTION_POINTS if self.plan.board.interrupt_controller else ()

    @contextlib.asynccontextmanager
    async def running(self, limit: float) -> AsyncIterator[Machine]:
        """The process, told the migration's capabilities and parameters.

        Raises:
            PeerError: it does not start, or refuses one of them.
        """
        async with running(self.setup(limit)) as machine:
            await migration.set_capabilities(machine, self.plan.capabilities())
            await migration.set_parameters(machine, self.plan.parameters())
            yield machine

    async def start_guest(self, machine: Machine, threads: Threads) -> None:
        """Let a source's guest run: halting, or writing at the scenario's pace."""
        asked = self.plan.scenario.ram
        writer = guest.Writer(self.ram, asked.working_set) if self.writes else None
        await machine.execute("cont")
        if writer is not None:
            await asyncio.to_thread(writer.run_at, asked.dirty_rate, threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ram.close()
