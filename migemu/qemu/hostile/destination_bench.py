"""A QEMU destination for one row: started, played to, watched until nothing changes any more, ended.

The script speaks in a thread of its own, because it waits on sockets; meanwhile the monitor is asked all the
time. A row that hangs its destination costs ``Patience.hang`` seconds and the process, which is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from migemu.errors import UsageError
from migemu.qemu import migration, shim
from migemu.qemu.hostile.judge import Judge
from migemu.qemu.hostile.pulse import Pulse
from migemu.qemu.hostile.script import PAGE, PAGES, Script
from migemu.qemu.hostile.shape import CHANNELS, RAM_BYTES, shape_of
from migemu.qemu.machine import Setup, running
from migemu.qemu.memory import SharedRam
from migemu.qemu.standin import DeviceFile, StandIn
from migemu.qemu.translate import HANDOFFS
from migemu.wire import returnpath

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.hostile.pulse import Patience
    from migemu.qemu.hostile.table import Row
    from migemu.qemu.hostile.verdict import Verdict
    from migemu.qemu.machine import Machine


class DestinationBench:
    """One play of a row to a QEMU that is the destination.

    Args:
        row: what is played.
        launcher: the QEMU.
        folder: an empty one.
        patience: how long it is watched.
    """

    def __init__(self, row: Row, launcher: Launcher, folder: Path, patience: Patience) -> None:
        if row.script is None:
            raise UsageError(f"row {row.name} is for a source")
        self._script = row.script
        self._bench = row.bench
        self.shape = shape_of(launcher.version, row.bench.devices, ready=row.bench.ready)
        self.ram = SharedRam(RAM_BYTES, self.shape.block)
        self._launcher = launcher
        self._folder = folder
        self._patience = patience
        names = enumerate(self.shape.devices)
        self._standin = StandIn(folder / "vfio", [self._device(number, name) for number, name in names])

    def _device(self, number: int, section: str) -> DeviceFile:
        given: dict[str, Any] = {"keep_file": self._kept(number), "state_size": 0}
        return DeviceFile(section=section, **given | dict(self._bench.model.get(number, {})))

    def _kept(self, number: int) -> Path:
        return self._folder / f"state{number}.bin"

    def _setup(self) -> Setup:
        machine = f"{self.shape.machine},accel=tcg,memory-backend={self.ram.block}"
        words = ["-machine", machine, "-m", f"{self.ram.size // 1024}k", *self.ram.backend()]
        words += ["-nodefaults", "-display", "none", "-S", "-incoming", "defer"]
        properties = {"enable-migration": "on", "x-migration-multifd-transfer": "on"}
        properties |= HANDOFFS["load-ready"] if self._bench.ready else {}
        words += self._standin.arguments(properties | dict(self._bench.properties))
        return Setup(
            self._launcher,
            words,
            self._folder,
            "destination",
            preload=shim.build() if self.shape.devices else None,
            environment=self._standin.environment(),
            fds=(self.ram.fd,),
            kill_after=self._patience.kill,
        )

    async def play(self) -> Verdict:
        """Start, play, watch, end.

        Raises:
            PeerError: the QEMU did not start.
        """
        with self.ram:
            return await self._play()

    async def _play(self) -> Verdict:
        async with running(self._setup()) as machine:
            address = await self._listen(machine)
            with Script(address, self.shape, self._did) as script:
                async with Pulse(machine) as pulse:
                    await asyncio.to_thread(self._speak, script)
                    return await Judge(pulse, _Spoken(self, script), self._patience).verdict()

    async def _listen(self, machine: Machine) -> tuple[str, int]:
        multifd = self._bench.multifd
        await migration.set_capabilities(machine, {"multifd": multifd, "return-path": True})
        if multifd:
            await migration.set_parameters(machine, {"multifd_channels": CHANNELS})
        await machine.execute("migrate-incoming", uri="tcp:127.0.0.1:0")
        told = await machine.execute("query-migrate")
        address = told["socket-address"][0]
        return address["host"], int(address["port"])

    def _did(self) -> list[str]:
        """What the devices did so far."""
        return [str(event["event"]) for event in self._standin.events()]

    def _speak(self, script: Script) -> None:
        """The row; a destination that goes away in the middle of it is an end like others."""
        with contextlib.suppress(OSError):
            self._script(script)

    def differences(self, script: Script) -> str:
        """What is not as the source had it; empty when everything is."""
        found = []
        pages = script.ram.pages.view(np.uint64).reshape(PAGES, PAGE // 8)
        differing = int((self.ram.words[:PAGES] != pages).any(axis=1).sum())
        if differing:
            found.append(f"{differing} of {PAGES} pages of RAM differ")
        for number, (device, wanted) in enumerate(script.given.items()):
            kept = self._kept(number)
            got = kept.read_bytes() if kept.exists() else b""
            if got != wanted:
                more = " others than" if len(got) == len(wanted) else ""
                found.append(f"{device} was given {len(got)} bytes,{more} not the {len(wanted)} sent")
        return "; ".join([*found, *([script.complaint] if script.complaint else [])])


class _Spoken:
    """The script, when it has said everything."""

    def __init__(self, bench: DestinationBench, script: Script) -> None:
        self._bench = bench
        self._script = script

    async def close(self) -> None:
        await asyncio.to_thread(self._script.close)

    def differences(self) -> str:
        return self._bench.differences(self._script)

    def shut(self) -> int | None:
        told = [one for one in self._script.messages if one.type == returnpath.SHUT]
        return int.from_bytes(told[0].data) if told else None
