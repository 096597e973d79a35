"""A real QEMU on one side of a migration: what the stories of peers share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import MigemuError, PeerError
from migemu.lab.capture_write import CaptureWriter
from migemu.observe.recorder import Recorder
from migemu.qemu import binary, migration
from migemu.qemu.receive import QemuSession, Wishes
from migemu.qemu.side import QemuSide
from migemu.qemu.translate import Plan
from migemu.scenario import loads
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from migemu.observe.model import Result
    from migemu.qemu.binary import Launcher, Version
    from migemu.qemu.machine import Machine
    from migemu.scenario import Scenario

LIMIT = 40.0
"""Seconds any migration of a story may take; none comes near unless it hangs."""

QEMUS = {one.version[0]: one for one in reversed(binary.find_all())}
"""One QEMU of each major version that is here."""

ALL = bool(os.environ.get("MIGEMU_QEMU_ALL"))
"""Whether every combination is run (`make qemu`) or a sample."""

SCENARIO = """
handoff = "{handoff}"
machine = "{machine}"
[platform]
needs_interrupt_controller = false
[ram]
size = "{ram}"
{memory}
[migration]
channels = {channels}
{migration}
[timeouts]
phase = "5 s"
arrival = "3 s"
"""
DEVICES = """
[[device]]
count = {devices}
state_size = "{size}"
{device}
"""


CAPTURES = Path(__file__).resolve().parents[1] / "captures"


def recorded(name: str) -> dict[str, bytes]:
    """The files of a recording of a real QEMU, by name."""
    with tarfile.open(CAPTURES / f"{name}.tar.xz") as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {Path(name).name: content.read() for name, content in members if content}


def qemu(major: int) -> Launcher:
    """The QEMU of that major version; without it the story is skipped."""
    if major not in QEMUS:
        pytest.skip(f"no QEMU {major} here: see tests/qemu/get-qemu.sh")
    return QEMUS[major]


def scenario(machine: str = "10.0", devices: int = 0, **parts: Any) -> Scenario:
    """A small migration; 9.1 stands in for machine types that scenarios do not know."""
    given = {"ram": "8 MiB", "memory": "", "channels": 2, "migration": "", "handoff": "load-thread"}
    given |= {"size": "3000000 B", "device": "", "devices": devices} | parts
    known = machine if float(machine) > 9 else "9.1"
    text = SCENARIO + (DEVICES if devices else "")
    return loads(text.format(machine=known, **given), "test")


class OldPlan(Plan):
    """Runs any machine type the QEMU has."""

    machine_type: Version

    def machine_version(self) -> Version:
        return self.machine_type


def plan_of(asked: Scenario, launcher: Launcher, machine: str, *, multifd: bool = True) -> Plan:
    plan = OldPlan(asked, launcher.version, multifd, launcher.board)
    object.__setattr__(plan, "machine_type", tuple(int(part) for part in machine.split(".")))
    return plan


@dataclass
class Received:
    """A migration from a QEMU, over."""

    error: MigemuError | None
    """This side's."""
    status: str
    """What the source says became of it."""
    reason: str
    running: bool
    """Whether the source's VM runs in the end."""
    result: Result
    session: QemuSession
    recorder: Recorder

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event.fields for event in self.recorder.log.events() if event.event == name]

    def verified(self) -> dict[str, bool]:
        return {f"{one.what} {one.device or ''}".strip(): one.ok for one in self.result.verification}


async def receive(
    launcher: Launcher,
    folder: Path,
    *,
    machine: str = "10.0",
    multifd: bool = True,
    wishes: dict[str, Any] | None = None,
    load_with: str | None = None,
    **parts: Any,
) -> Received:
    """A whole machine of that QEMU migrates into this process; RAM and devices are verified.

    Args:
        launcher: the QEMU.
        folder: for its logs and devices.
        machine: its machine type.
        multifd: whether that is on.
        wishes: further ones of the receiving side.
        load_with: the destination's hand-off, where it is not one of QEMU's own.
        parts: of the scenario.
    """
    asked = scenario(machine, **parts)
    plan = plan_of(asked, launcher, machine, multifd=multifd)
    with QemuSide.prepare("source", launcher, plan, folder) as side:
        told: dict[str, Any] = {"peer": "qemu", "verify_ram": Path(f"/proc/self/fd/{side.ram.fd}")}
        if asked.device:
            told["verify_devices"] = folder / "source"
        ours = asked if load_with is None else asked.model_copy(update={"handoff": load_with})
        recorder = Recorder("destination", ours)
        async with side.running(LIMIT) as source, receiving(recorder, told | (wishes or {})) as session:
            await side.start_guest(source, NativeThreads())
            return await finish(source, session, recorder)


@contextlib.asynccontextmanager
async def receiving(recorder: Recorder, wishes: dict[str, Any]) -> AsyncIterator[Listening]:
    """A destination that listens."""
    threads = NativeThreads(recorder.log.sink)
    kept = wishes.get("save")
    tapes = CaptureWriter(kept, recorder.scenario, threads.now) if kept is not None else None
    session = QemuSession(recorder.scenario, threads, Wishes(**wishes), tapes)
    task = asyncio.create_task(session.run("127.0.0.1", 0))
    try:
        while not session.address and not task.done():  # noqa: ASYNC110  nothing tells when it listens
            await asyncio.sleep(0.005)
        yield Listening(session, task)
    finally:
        session.cancel("the test is over")
        await task


@dataclass
class Listening:
    """A destination and the task it runs in."""

    session: QemuSession
    over: asyncio.Task[MigemuError | None]


async def finish(source: Machine, listening: Listening, recorder: Recorder, through: str = "") -> Received:
    """Migrate to where it listens, wait for both ends."""
    await migration.start(source, f"tcp:{through or listening.session.address}")
    try:
        told = await migration.wait(source, LIMIT / 2)
    except PeerError as hung:
        told = {"status": str(hung)}
    error = await asyncio.wait_for(listening.over, LIMIT / 2)
    state = await source.execute("query-status")
    return Received(
        error,
        str(told["status"]),
        str(told.get("error-desc", "")),
        bool(state["running"]),
        recorder.result(error),
        listening.session,
        recorder,
    )
