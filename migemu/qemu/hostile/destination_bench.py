"""A QEMU destination for one row: started, played to, watched until nothing changes any more, ended.

The script speaks in a thread of its own, because it waits on sockets; meanwhile the monitor is asked all the
time. A row that hangs its destination costs ``Patience.hang`` seconds and the process, which is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import numpy as np

from migemu.errors import UsageError
from migemu.qemu import migration, shim
from migemu.qemu.hostile.pulse import AFTERWARDS, Pulse, said
from migemu.qemu.hostile.script import PAGE, PAGES, Script
from migemu.qemu.hostile.shape import CHANNELS, RAM_BYTES, shape_of
from migemu.qemu.hostile.verdict import Kind, Verdict
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
                    return await self._judge(pulse, script)

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

    async def _judge(self, pulse: Pulse, script: Script) -> Verdict:
        """Watch until it has ended, hangs, or does nothing any more."""
        patience = self._patience
        if await pulse.settled(patience.hang, patience.wait):
            await asyncio.sleep(0 if pulse.gone else AFTERWARDS)
            return await self._over(pulse, script)
        hangs = pulse.silent() >= patience.hang
        await asyncio.to_thread(script.close)
        if hangs:
            return await self._come_to(pulse, script)
        ended = await pulse.settled(patience.hang, patience.closed)
        text = said(pulse.machine)
        if ended:
            text = f"when all is closed: {(await self._over(pulse, script)).line()}"
        return _verdict(Kind.WAITS, pulse, script, text)

    async def _come_to(self, pulse: Pulse, script: Script) -> Verdict:
        """Its monitor is silent; with every connection closed it may have nothing to wait for any more."""
        if not await pulse.answers(self._patience.closed):
            verdict = _verdict(Kind.HANG, pulse, script, said(pulse.machine))
            pulse.machine.process.kill()  # it would not hear that it is to quit
            return verdict
        await asyncio.sleep(AFTERWARDS)
        text = (await self._over(pulse, script)).line() if pulse.ended else said(pulse.machine)
        return _verdict(Kind.BLOCKED, pulse, script, text)

    async def _over(self, pulse: Pulse, script: Script) -> Verdict:
        """It ended: how?"""
        process = pulse.machine.process
        if pulse.gone or process.returncode is not None:
            code = await process.wait()
            if code == -signal.SIGKILL:
                return _verdict(Kind.HANG, pulse, script, "ended by its kill timer")
            kind, how = (Kind.CRASH, f"signal {-code}") if code < 0 else (Kind.ERROR, f"exit code {code}")
            return _verdict(kind, pulse, script, f"{said(pulse.machine)} ({how})".strip())
        if pulse.told.get("status") != "completed":
            reason = str(pulse.told.get("error-desc", "")) or said(pulse.machine)
            return _verdict(Kind.ERROR, pulse, script, reason)
        wrong = self._differences(script)
        return _verdict(Kind.WRONG if wrong else Kind.OK, pulse, script, wrong or said(pulse.machine))

    def _differences(self, script: Script) -> str:
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


def _verdict(kind: Kind, pulse: Pulse, script: Script, text: str) -> Verdict:
    shut = [int.from_bytes(message.data) for message in script.messages if message.type == returnpath.SHUT]
    silent = max(pulse.longest, pulse.silent())
    return Verdict(kind, text, silent, shut[0] if shut else None, pulse.grown)
