"""A real QEMU process: it starts, answers, says why it does not, and always ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import PeerError, PeerRefusedError, PeerTimeoutError
from migemu.qemu import machine as machines
from migemu.qemu import migration
from migemu.qemu.machine import Setup, running

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher

pytestmark = pytest.mark.qemu

QUIET = ["-nodefaults", "-display", "none", "-S"]


def setup(launcher: Launcher, folder: Path, *arguments: str, **more: Any) -> Setup:
    return Setup(launcher, [*(arguments or ("-M", "none")), *QUIET], folder, "source", **more)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_it_answers_and_is_gone_afterwards(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path)) as machine:
        version = await machine.execute("query-version")
        assert [version["qemu"][part] for part in ("major", "minor", "micro")] == [*any_qemu.version]
    assert (machine.process.returncode, machine.killed) == (0, False)
    assert not alive(machine.process.pid)


async def test_a_refused_command_gives_qemus_reason(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path)) as machine:
        with pytest.raises(PeerRefusedError, match=r"source.*nonesuch has not been found"):
            await machine.execute("nonesuch")


async def test_a_qemu_that_does_not_start_says_why(any_qemu: Launcher, tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"before its greeting \(exit code 1\): .*machine"):
        async with running(setup(any_qemu, tmp_path, "-M", "nonesuch")):
            pytest.fail("it started")


async def test_a_qemu_that_is_killed_is_gone(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path)) as machine:
        machine.process.kill()
        with pytest.raises(PeerError, match=r"gone during query-status \(ended with signal 9\)"):
            await machine.execute("query-status")


async def test_a_qemu_that_hangs_is_noticed_and_killed(
    any_qemu: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "QUIT_LIMIT", 0.1)
    async with running(setup(any_qemu, tmp_path)) as machine:
        os.kill(machine.process.pid, signal.SIGSTOP)
        with pytest.raises(PeerTimeoutError, match=r"no answer to query-status in 0\.1 s"):
            await machine.execute("query-status", 0.1)
    assert machine.killed
    assert not alive(machine.process.pid)


async def test_the_kill_timer_needs_nobody_to_wait(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path, kill_after=0.3)) as machine:
        await asyncio.wait_for(machine.process.wait(), 10)
    assert machine.process.returncode == -signal.SIGKILL
    assert machine.killed


async def test_an_error_in_the_middle_leaves_no_process(any_qemu: Launcher, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with running(setup(any_qemu, tmp_path)) as machine:
            raise KeyError
    assert not alive(machine.process.pid)


async def test_capabilities_and_parameters_are_set(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path)) as machine:
        await migration.set_capabilities(machine, {"multifd": True})
        await migration.set_parameters(machine, {"multifd_channels": 9})
        assert (await machine.execute("query-migrate-parameters"))["multifd-channels"] == 9
        with pytest.raises(PeerRefusedError, match="nonesuch"):
            await migration.set_capabilities(machine, {"nonesuch": True})


async def test_a_destination_tells_the_port_it_took(any_qemu: Launcher, tmp_path: Path) -> None:
    ram = ("-M", "none,memory-backend=ram0", "-object", "memory-backend-ram,id=ram0,size=1M", "-m", "1M")
    async with running(setup(any_qemu, tmp_path, *ram, "-incoming", "defer")) as machine:
        address = await migration.listen(machine)
        _, host, port = address.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()


async def test_a_migration_nobody_ends_is_given_up(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path, "-M", "none", "-incoming", "defer")) as machine:
        await migration.listen(machine)
        with pytest.raises(PeerTimeoutError, match=r"did not end within 0\.2 s; last status: setup"):
            await migration.wait(machine, 0.2)


async def test_a_failed_migration_gives_its_reason(any_qemu: Launcher, tmp_path: Path) -> None:
    async with running(setup(any_qemu, tmp_path)) as machine:
        await migration.start(machine, "tcp:127.0.0.1:1")
        told = await migration.wait(machine, 10)
        with pytest.raises(PeerRefusedError, match=r"failed: .*Connection refused"):
            migration.require_completed(machine, told)
