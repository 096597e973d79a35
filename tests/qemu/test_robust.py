"""What a machine or a QEMU may lack: each time one line says what, and nothing is left behind."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from migemu.errors import ConfigError, PeerError, PeerTimeoutError, UsageError
from migemu.qemu import binary, doctor, facts, machine, pair, scratch, shim
from migemu.qemu.machine import Setup, running
from migemu.qemu.memory import SharedRam
from migemu.qemu.pair import PairOptions
from migemu.scenario import loads

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher

OPEN = Path("/proc/self/fd")
VERSION = 'case "$*" in *--version*) echo "QEMU emulator version 10.0.13"; exit 0;; esac\n'
SMALL = """
handoff = "load-thread"
machine = "10.0"
[ram]
size = "8 MiB"
working_set = "1 MiB"
[[device]]
count = {devices}
state_size = "256 KiB"
"""


def pretender(folder: Path, does: str) -> Launcher:
    """A program that says it is a QEMU, and then does something else."""
    program = folder / "bin/qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n" + VERSION + does)
    program.chmod(0o755)
    return binary.launcher(program)


def start(launcher: Launcher, folder: Path) -> int:
    """Start it; the process id, once it is over."""

    async def run() -> int:
        async with running(Setup(launcher, ["-S"], folder, "source")) as made:
            return made.process.pid

    return asyncio.run(run())


def processes(folder: Path) -> list[str]:
    """Processes of programs in `folder`."""
    ran = shutil.which("pgrep")
    assert ran is not None
    found = asyncio.run(_output(ran, "-f", str(folder)))
    return found.split()


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode()


def test_one_that_dies_at_its_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    launcher = pretender(tmp_path, "echo 'warning: old' >&2; echo 'no accelerator found' >&2; exit 3\n")
    with pytest.raises(PeerError, match=r"before its greeting \(exit code 3\): no accelerator found"):
        start(launcher, tmp_path)


def test_one_that_is_killed_at_its_start_too(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"ended with signal 9\): it said nothing"):
        start(pretender(tmp_path, "kill -9 $$\n"), tmp_path)


def test_one_whose_monitor_never_answers_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "START_LIMIT", 0.5)
    monkeypatch.setattr(machine, "QUIT_LIMIT", 0.2)
    launcher = pretender(tmp_path, "while :; do sleep 0.1; done\n")
    with pytest.raises(PeerTimeoutError, match=r"no greeting in 0\.5 s"):
        start(launcher, tmp_path)
    assert processes(tmp_path) == []


def test_a_migration_between_such_ends_and_says_why(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "QUIT_LIMIT", 0.2)
    launcher = pretender(tmp_path, "echo 'cannot allocate memory' >&2; exit 1\n")
    work = tmp_path / "work"
    work.mkdir()
    scenario = loads(SMALL.format(devices=1), "test")
    outcome = asyncio.run(pair.migrate(scenario, work, PairOptions(launcher, launcher)))
    assert outcome.result.verdict == "failed"
    assert "cannot allocate memory" in outcome.result.reasons[0]
    assert library.exists()


@pytest.mark.qemu
async def test_ram_alone_needs_no_compiler(
    any_qemu: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shim, "compiler", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scenario = loads(
        'machine = "9.1"\nhandoff = "main-channel"\n[ram]\nsize = "8 MiB"\nworking_set = "1 MiB"', "test"
    )
    outcome = await pair.migrate(scenario, tmp_path, PairOptions(any_qemu, any_qemu))
    assert (outcome.result.verdict, outcome.result.reasons) == ("completed", ())


class Lacks(NamedTuple):
    """A QEMU without something."""

    version: tuple[int, ...]
    vfio: frozenset[str] | None
    told: str


@pytest.mark.parametrize(
    "lacks",
    [
        Lacks((10, 0, 13), None, "no  VFIO device state over multifd: needs such devices"),
        Lacks((11, 1, 3), None, "no  hand-off load-ready (config held until the platform is in): needs such"),
        Lacks((9, 2, 0), frozenset(), "no  VFIO device state over multifd: needs QEMU 10.0 or newer"),
    ],
)
def test_a_qemu_built_without_vfio_is_not_said_to_be_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: Lacks
) -> None:
    async def ask(_: Launcher) -> facts.Facts:
        found = ("pc-q35-10.0",)
        return facts.Facts("10.0.13", "", found, frozenset(), lacks.vfio, "" if lacks.vfio else "none")

    monkeypatch.setattr(facts, "ask", ask)
    report = asyncio.run(doctor.examine(binary.Launcher(tmp_path / "qemu", lacks.version)))
    assert any(lacks.told in finding.line() for finding in report.findings)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    if shim.compiler() is None:
        pytest.skip("no C compiler: there is nothing to keep")
    with pytest.raises(UsageError, match=rf"cannot be kept in {tmp_path}/file/cache: .*XDG_CACHE_HOME"):
        shim.build(tmp_path / "file/cache")


def test_guest_ram_that_nobody_has_is_refused_before_it_is_filled() -> None:
    with pytest.raises(ConfigError, match=r"guest RAM of 900 TiB: this machine has"):
        SharedRam(900 << 40)


def test_guest_ram_that_cannot_be_had_gives_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("migemu.qemu.memory.os.ftruncate", full)
    before = len(list(OPEN.iterdir()))
    with pytest.raises(ConfigError, match=r"guest RAM of 8 MiB cannot be had: No space left"):
        SharedRam(8 << 20)
    assert len(list(OPEN.iterdir())) == before


def test_a_full_disk_is_told_before_a_qemu_is_blamed_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "ROOM", 1 << 60)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (
        pytest.raises(UsageError, match=rf"MiB are free in {tmp_path}.*TMPDIR"),
        scratch.scratch("test"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_place_for_scratch_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nonesuch"))
    with pytest.raises(UsageError, match="TMPDIR"), scratch.scratch("test"):
        pass


@pytest.mark.qemu
@pytest.mark.parametrize("devices", [16, 32])
async def test_many_devices_arrive(vfio_qemu: Launcher, tmp_path: Path, devices: int) -> None:
    """More than a slot each: with 32 there are eight functions a slot."""
    scenario = loads(SMALL.format(devices=devices), "test")
    outcome = await pair.migrate(scenario, tmp_path, PairOptions(vfio_qemu, vfio_qemu))
    assert [one.ok for one in outcome.result.verification] == [True] * (devices + 1)
    assert not re.search("error", " ".join(outcome.result.reasons))
