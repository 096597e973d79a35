"""A QEMU source for one row of the family S: it migrates to a sink, and is watched as a destination is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from migemu.errors import PeerError
from migemu.qemu import migration, shim
from migemu.qemu.hostile.pulse import AFTERWARDS, Pulse, said
from migemu.qemu.hostile.shape import CHANNELS
from migemu.qemu.hostile.sink import Sink
from migemu.qemu.hostile.verdict import Kind, Verdict, of_process
from migemu.qemu.machine import Setup, running
from migemu.qemu.memory import SharedRam
from migemu.qemu.standin import DeviceFile, StandIn, section_id
from migemu.qemu.translate import GIB, UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.hostile.pulse import Patience
    from migemu.qemu.hostile.table import Row, SourcePlay
    from migemu.qemu.machine import Machine

SOURCE_RAM: Final = 64 << 20
"""More than the buffers of all sockets take while nobody reads."""

DOWNTIME: Final = 10_000
"""ms: any state fits."""


async def play_to_source(
    row: Row, script: SourcePlay, launcher: Launcher, folder: Path, patience: Patience
) -> Verdict:
    """Play `row` to a source of its own.

    Raises:
        PeerError: the QEMU did not start.
    """
    with SharedRam(SOURCE_RAM, "pc.ram" if row.bench.devices else "ram0") as ram:
        ram.fill(1)
        async with running(_setup(row, launcher, folder, ram, patience)) as machine:
            await _prepare(machine, launcher)
            with Sink(_asker(machine)) as sink:
                await migration.start(machine, f"tcp:127.0.0.1:{sink.port}")
                async with Pulse(machine) as pulse:
                    await asyncio.to_thread(_speak, script, sink)
                    return await _judge(pulse, patience)


def _setup(row: Row, launcher: Launcher, folder: Path, ram: SharedRam, patience: Patience) -> Setup:
    count = row.bench.devices
    devices = [
        DeviceFile(section=section_id(number, count), **dict(row.bench.model[number]))
        for number in range(count)
    ]
    standin = StandIn(folder / "vfio", devices)
    machine = "pc-q35-10.0" if count else "none"
    words = ["-machine", f"{machine},accel=tcg,memory-backend={ram.block}", "-m", f"{ram.size // 1024}k"]
    words += [*ram.backend(), "-nodefaults", "-display", "none", "-S"]
    words += standin.arguments({"enable-migration": "on", "x-migration-multifd-transfer": "on"})
    return Setup(
        launcher,
        words,
        folder,
        "source",
        preload=shim.build() if count else None,
        environment=standin.environment(),
        fds=(ram.fd,),
        kill_after=patience.kill,
    )


async def _prepare(machine: Machine, launcher: Launcher) -> None:
    await migration.set_capabilities(machine, {"multifd": True, "return-path": True})
    given = {"multifd_channels": CHANNELS, "max_bandwidth": UNLIMITED, "downtime_limit": DOWNTIME}
    known = {"avail_switchover_bandwidth": 10 * GIB} if launcher.version >= (8, 2) else {}
    await migration.set_parameters(machine, given | known)


def _asker(machine: Machine) -> Callable[[str], object]:
    loop = asyncio.get_running_loop()

    def ask(command: str) -> object:
        return asyncio.run_coroutine_threadsafe(machine.execute(command), loop).result()

    return ask


def _speak(script: SourcePlay, sink: Sink) -> None:
    """The row; a source that goes away in the middle of it is an end like others."""
    with contextlib.suppress(OSError, PeerError):
        script(sink)


async def _judge(pulse: Pulse, patience: Patience) -> Verdict:
    """What a source came to; the sink is still there, so it must find its end by itself."""
    settled = await pulse.settled(patience.hang, patience.wait)
    silent = max(pulse.longest, pulse.silent())
    if not settled:
        hangs = pulse.silent() >= patience.hang
        verdict = Verdict(Kind.HANG if hangs else Kind.WAITS, _status(pulse), silent)
        if hangs:
            pulse.machine.process.kill()  # it would not hear that it is to quit
        return verdict
    await asyncio.sleep(AFTERWARDS)
    if pulse.gone:
        return Verdict(*of_process(await pulse.machine.process.wait(), said(pulse.machine)), silent)
    kinds = {"failed": Kind.ERROR, "cancelled": Kind.OK}
    return Verdict(kinds.get(str(pulse.told["status"]), Kind.WRONG), _status(pulse), silent)


def _status(pulse: Pulse) -> str:
    """Why it failed, or in which state it is instead."""
    status = str(pulse.told.get("status"))
    words = [str(pulse.told.get("error-desc", "")), said(pulse.machine)]
    if status != "failed":
        words.insert(0, f"status {status}")
    return "; ".join(word for word in dict.fromkeys(words) if word)
