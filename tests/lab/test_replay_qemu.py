"""Recorded streams of real QEMUs, played into real QEMUs, as they were and in orders they cannot take."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migemu.errors import PeerError
from migemu.qemu import binary, migration
from migemu.qemu.machine import Machine, Setup, running
from wire.conftest import recorded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.qemu

CAPTURES = Path(__file__).parents[1] / "captures"
RAM = 1 << 20
LIMIT = 40.0
QEMUS = {one.version[0]: one for one in reversed(binary.find_all())}
"""One QEMU of each major version that is here."""

MAIN_LAST = """
[[order]]
name = "main-last"
type = "hold"
stream = "out"
required = true
select = { record = "Connect", channel = "main" }
attributes = { until = { record = "Hello", channel = "multifd", nth = 2 } }
"""


@asynccontextmanager
async def waiting_qemu(major: int, tmp_path: Path, channels: int) -> AsyncIterator[tuple[Machine, str]]:
    """A QEMU of that version without a machine that waits for a migration; and where."""
    if major not in QEMUS:
        pytest.skip(f"no QEMU {major}: apt-get install qemu-system-x86, or run tests/qemu/get-qemu.sh")
    ram = tmp_path / "ram"
    ram.write_bytes(bytes(RAM))  # since 9.0 a first zero page is not written: fresh memory is zero
    memory = f"memory-backend-file,id=ram0,size=1M,mem-path={ram},share=on"
    words = ["-M", "none,memory-backend=ram0", "-object", memory, "-nographic", "-nodefaults", "-S"]
    setup = Setup(QEMUS[major], [*words, "-incoming", "defer"], tmp_path, "destination", kill_after=LIMIT)
    async with running(setup) as machine:
        if channels:
            await migration.set_capabilities(machine, {"multifd": True})
            await migration.set_parameters(machine, {"multifd-channels": channels})
        yield machine, (await migration.listen(machine)).removeprefix("tcp:")


async def replay(capture: str, address: str, *more: str) -> tuple[int | None, str]:
    """The exit code and what was said."""
    command = [sys.executable, "-m", "migemu", "replay", str(CAPTURES / f"{capture}.tar.xz")]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--connect",
        address,
        *more,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    return process.returncode, said.decode()


@pytest.mark.parametrize(
    ("major", "capture", "channels"),
    [
        (7, "qemu-7.2-none-0ch", 0),
        (7, "qemu-7.2-none-2ch", 2),
        (10, "qemu-7.2-none-0ch", 0),
        (10, "qemu-10.0-none-0ch", 0),
        (10, "qemu-10.0-none-2ch", 2),
    ],
)
async def test_a_real_qemu_takes_a_replay_for_its_source(
    tmp_path: Path, major: int, capture: str, channels: int
) -> None:
    async with waiting_qemu(major, tmp_path, channels) as (machine, address):
        code, said = await replay(capture, address)
        assert code == 0, said
        assert (await migration.wait(machine, 10.0))["status"] == "completed"
        assert (tmp_path / "ram").read_bytes() == recorded(capture)["ram0.img"]


async def test_a_qemu_7_2_takes_the_first_connection_for_main_and_waits_for_ever(tmp_path: Path) -> None:
    """B13, with one rule: what a QEMU since 8.0 and our own destination take as it comes."""
    rules = tmp_path / "rules.toml"
    rules.write_text(MAIN_LAST)
    async with waiting_qemu(7, tmp_path, 2) as (machine, address):
        code, said = await replay("qemu-7.2-none-2ch", address, "--rules", str(rules))
        assert code == 0, said
        with pytest.raises(PeerError):
            await migration.wait(machine, 2.0)
        assert "received packet magic 5145564d expected 11223344" in machine.stderr()


async def test_a_qemu_10_does_not(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(MAIN_LAST)
    async with waiting_qemu(10, tmp_path, 2) as (machine, address):
        code, said = await replay("qemu-10.0-none-2ch", address, "--rules", str(rules))
        assert code == 0, said
        assert (await migration.wait(machine, 10.0))["status"] == "completed"
        assert (tmp_path / "ram").read_bytes() == recorded("qemu-10.0-none-2ch")["ram0.img"]


async def test_a_qemu_completes_with_wrong_ram_when_a_packet_is_lost(tmp_path: Path) -> None:
    """C5: no error, and the source would have been told that all is well. Rules of `in` act as well."""
    rules = tmp_path / "rules.toml"
    rules.write_text('[[order]]\ntype = "drop"\nrequired = true\nselect = { flag = "ram", nth = 1 }\n')
    async with waiting_qemu(10, tmp_path, 2) as (machine, address):
        code, said = await replay("qemu-10.0-none-2ch", address, "--rules", str(rules))
        assert code == 0, said
        assert (await migration.wait(machine, 10.0))["status"] == "completed"
        assert (tmp_path / "ram").read_bytes() != recorded("qemu-10.0-none-2ch")["ram0.img"]
