"""A whole machine, recorded once, played into real QEMUs as often as one likes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from migemu.qemu import migration
from migemu.qemu.side import QemuSide
from peering.bench import LIMIT, plan_of, receive, scenario

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.machine import Machine

pytestmark = pytest.mark.qemu

CHANNELS, DEVICES = 3, 2


async def replay(capture: Path, address: str, *more: str) -> tuple[int | None, str]:
    """Exit code and words of the verb."""
    command = [sys.executable, "-m", "migemu", "replay", str(capture), "--connect", address, *more]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    return process.returncode, said.decode()


async def test_a_pc_with_devices_is_brought_back_from_its_capture(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    """Chipset, firmware's RAM, devices and all: RAM and device bytes are those that were recorded."""
    kept, source, destination = (tmp_path / name for name in ("kept", "source", "destination"))
    for folder in (source, destination):
        folder.mkdir()
    got = await receive(vfio_qemu, source, devices=DEVICES, channels=CHANNELS, wishes={"save": kept})
    assert (got.error, got.status) == (None, "completed")
    asked = scenario("10.0", devices=DEVICES, channels=CHANNELS)
    plan = plan_of(asked, vfio_qemu, "10.0")
    with QemuSide.prepare("destination", vfio_qemu, plan, destination, keep_state=True) as side:
        async with side.running(LIMIT) as machine:
            address = (await migration.listen(machine)).removeprefix("tcp:")
            code, said = await replay(kept, address)
            assert code == 0, said
            told = await migration.wait(machine, 10.0)
            assert (told["status"], await running(machine)) == ("completed", True)
        assert side.ram.words.tobytes() == (kept / "ram/pc.ram.img").read_bytes()
    for number in range(DEVICES):
        state = (kept / f"devices/0000:00:{number + 1:02x}.0_vfio.state").read_bytes()
        assert (destination / f"state{number}.bin").read_bytes() == state


async def running(machine: Machine) -> bool:
    told = await machine.execute("query-status")
    return bool(told["running"])
