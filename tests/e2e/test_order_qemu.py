"""Rules at our destination alone, its source a real QEMU that knows nothing of them."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from e2e.sides import LIMIT, Bench, Side, migemu
from migemu.qemu import binary, migration
from migemu.qemu.machine import Machine, Setup, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.qemu

QEMUS = {one.version[0]: one for one in reversed(binary.find_all())}
BASE = '[migration]\nchannels = 3\n[timeouts]\nphase = "2 s"\n'
LATE = """
[[order]]
name = "sync-late"
type = "after"
required = true
select = { channel = 0, flag = "sync", nth = 1 }
attributes = { packet = { channel = 0, flag = "ram" } }
[[order]]
name = "slow"
type = "delay"
required = true
select = { channel = 1, flag = "ram" }
attributes = { latency = "30 ms" }
"""
LOST = '[[order]]\nname = "lost"\ntype = "drop"\nrequired = true\nselect = { channel = 1, flag = "sync" }\n'


@pytest.fixture(params=[7, 10])
def major(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    if number not in QEMUS:
        pytest.skip(f"no QEMU {number}: apt-get install qemu-system-x86, or run tests/qemu/get-qemu.sh")
    return number


@asynccontextmanager
async def source(major: int, tmp_path: Path) -> AsyncIterator[Machine]:
    """A QEMU with 4 MiB of RAM in a file, three quarters of it not zero, and three channels."""
    (tmp_path / "ram").write_bytes(os.urandom(3 << 20) + bytes(1 << 20))
    memory = f"memory-backend-file,id=ram0,size=4M,mem-path={tmp_path / 'ram'},share=on"
    words = ["-M", "none,memory-backend=ram0", "-object", memory, "-nographic", "-nodefaults", "-S"]
    async with running(Setup(QEMUS[major], words, tmp_path, "source", kill_after=LIMIT)) as machine:
        await migration.set_capabilities(machine, {"multifd": True, "return-path": True})
        await migration.set_parameters(machine, {"multifd-channels": 3})
        yield machine


async def migrate(bench: Bench, machine: Machine, tmp_path: Path, *more: str) -> tuple[Side, int, str, str]:
    """The destination, its exit code and words, and the status that QEMU gives."""
    ram = ("--verify-ram", str(tmp_path / "ram"))
    side, address = await asyncio.to_thread(bench.destination, "--peer", "qemu", *ram, *more)
    await migration.start(machine, f"tcp:{address}")
    code, said = await asyncio.to_thread(side.finish)
    return side, code, said, (await migration.wait(machine, 10.0))["status"]


async def test_what_only_takes_time_ends_verified_and_plays_again(
    bench: Bench, tmp_path: Path, major: int
) -> None:
    bench.config.write_text(BASE + LATE)
    folder = tmp_path / "capture"
    async with source(major, tmp_path) as machine:
        side, code, said, status = await migrate(bench, machine, tmp_path, "--record", str(folder))
    assert (code, said, status) == (0, "", "completed")
    assert all(rule["ok"] for rule in side.named("order_rule_ended"))
    assert [event["ok"] for event in side.named("verify")] == [True]
    again = await asyncio.to_thread(migemu, "replay", str(folder))
    assert again.returncode == 0, again.stderr


async def test_what_it_makes_impossible_ends_with_an_error_here_and_there(
    bench: Bench, tmp_path: Path, major: int
) -> None:
    bench.config.write_text(BASE + LOST)
    async with source(major, tmp_path) as machine:
        _, code, said, status = await migrate(bench, machine, tmp_path)
    assert (code, status) == (1, "failed")
    assert "no SYNC within 2 s on multifd channel(s) [1]" in said
