"""Our source, driving a real QEMU: what the stories share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from migemu.errors import PeerError
from migemu.observe.recorder import Recorder
from migemu.qemu import migration
from migemu.qemu.drive import QemuSession, make_target
from migemu.qemu.memory import SharedRam
from migemu.qemu.peer_bare import bare
from migemu.qemu.side import QemuSide
from migemu.threads.native import NativeThreads
from peering.bench import LIMIT, plan_of, scenario

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.qemu.binary import Launcher
    from migemu.qemu.drive_stream import Target
    from migemu.qemu.machine import Machine
    from migemu.scenario import Scenario


@dataclass
class Driven:
    """A migration to a QEMU, over."""

    error: MigemuError | None
    status: str
    """What the destination says became of it."""
    reason: str
    result: Result
    session: QemuSession
    events: list[Event]

    def ram(self) -> bool:
        return [(one.what, one.ok) for one in self.result.verification] == [("ram", True)]


async def drive(machine: Machine, asked: Scenario, target: Target, ram: SharedRam) -> Driven:
    """Migrate to `machine`, and compare the memory it shares with what was sent."""
    host, port = (await migration.listen(machine))[4:].rsplit(":", 1)
    recorder = Recorder("source", asked)
    threads = NativeThreads(recorder.log.sink)
    session = QemuSession(asked, threads, target, Path(f"/proc/self/fd/{ram.fd}"))
    error = await asyncio.wait_for(session.run(host, int(port)), LIMIT)
    try:
        told = await migration.wait(machine, 10.0)
    except PeerError as gone:
        told = {"status": str(gone)}
    reason = str(told.get("error-desc", ""))
    outcome = recorder.result(error)
    return Driven(error, str(told["status"]), reason, outcome, session, recorder.log.events())


async def to_none(launcher: Launcher, folder: Path, channels: int, **parts: Any) -> Driven:
    """To a machine that is nothing but RAM."""
    back = parts.pop("return_path", True)
    version = "7.2" if launcher.version < (8, 1) else None
    target = make_target("none", version, None, multifd=bool(channels))
    said = f"return_path = {str(back).lower()}"
    asked = scenario("11.1", channels=max(channels, 1), migration=said, handoff="load-ready", **parts)
    with SharedRam(8 << 20, "ram0") as ram:
        async with bare(launcher, folder, ram, "destination", channels=channels, return_path=back) as machine:
            return await drive(machine, asked, target, ram)


async def to_devices(
    launcher: Launcher, folder: Path, machine: str = "10.0", *, multifd: bool = True, **parts: Any
) -> Driven:
    """To a PC with make-believe devices that keep what they are given."""
    asked = scenario(machine, **parts)
    asked = asked.model_copy(update={"uuid": asked.migration_uuid()})
    plan = plan_of(asked, launcher, machine, multifd=multifd)
    target = make_target(f"pc-q35-{machine}", None, None, multifd=multifd)
    with QemuSide.prepare("destination", launcher, plan, folder, keep_state=True) as side:
        async with side.running(LIMIT) as made:
            return await drive(made, asked, target, side.ram)


def loaded(driven: Driven, folder: Path) -> list[bool]:
    """For each device, whether its QEMU twin was given its bytes."""
    kept = [(folder / f"state{n}.bin").read_bytes() for n in range(len(driven.session.guest.devices))]
    return [
        xxhash.xxh3_128(state).hexdigest() == device.data_digest()
        for state, device in zip(kept, driven.session.guest.devices, strict=True)
    ]
