"""ARM64: a platform whose interrupt controller must be in before a device's config, on real QEMUs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from migemu.cli.bugs import bugs
from migemu.errors import UsageError
from migemu.qemu import binary, doctor, hostile, pair
from migemu.qemu.board import PC, VIRT, board_of, board_of_machine
from migemu.qemu.drive import make_target
from migemu.qemu.hostile.playing import play
from migemu.qemu.pair import PairOptions
from migemu.qemu.side import QemuSide
from migemu.qemu.tap_ruled import through_rules
from migemu.qemu.tap_watch import Watch
from migemu.qemu.translate import Plan
from migemu.scenario import loads
from peering.bench import LIMIT, receive
from peering.driving import drive, loaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.pair import Outcome
    from migemu.scenario import Scenario

PROGRAM = "qemu-system-aarch64"
QEMUS = {one.version[0]: one for one in reversed(binary.find_all(PROGRAM))}

SCENARIO = """
handoff = "{handoff}"
machine = "11.1"
[ram]
size = "16 MiB"
[migration]
channels = 2
[[device]]
count = 2
state_size = "3000000 B"
config_load_time = "10 ms"
"""

CONTROLLER_LATE = """
[[order]] # what comes first of the platform's sections is the interrupt controller
name = "configs-first"
type = "hold"
required = true
select = { record = "Tail" }
attributes = { until = { flag = "config", nth = 2 } }
[[order]] # and an early load has its time, counted from then
name = "and-loaded"
type = "slice"
required = true
select = { record = "Tail" }
attributes = { at = 1, pause = "300 ms" }
"""


@pytest.fixture
def arm(library: Path) -> Callable[[int], Launcher]:
    """The ARM64 QEMU of a major version, and devices for it."""

    def find(major: int) -> Launcher:
        if major not in QEMUS:
            pytest.skip(f"no {PROGRAM} {major}: MIGEMU_QEMU_TARGET=aarch64 tests/qemu/get-qemu.sh")
        return QEMUS[major]

    return find


def scenario(handoff: str, rules: str = "") -> Scenario:
    return loads(SCENARIO.format(handoff=handoff) + rules, "test")


async def late_controller(launcher: Launcher, folder: Path, handoff: str) -> tuple[Outcome, str]:
    """Both configs are in before the interrupt controller's section; what became of the invariant."""
    asked = scenario(handoff, CONTROLLER_LATE)
    options = PairOptions(launcher, launcher, through=through_rules(asked, Watch()))
    outcome = await pair.migrate(asked, folder, options)
    told = {one.name: (one.ok, one.detail) for one in outcome.result.invariants}
    ok, detail = told["config-after-iterables"]
    return outcome, "holds" if ok else detail


@pytest.mark.qemu
@pytest.mark.parametrize(("major", "handoff"), [(10, "load-thread"), (10, "load-ready"), (11, "load-thread")])
async def test_b2_config_is_loaded_before_the_interrupt_controller(
    arm: Callable[[int], Launcher], tmp_path: Path, major: int, handoff: str
) -> None:
    """10.0 knows nothing else; 11.1 does it where it is told not to wait."""
    outcome, told = await late_controller(arm(major), tmp_path, handoff)
    assert [item.ok for item in outcome.result.verification] == [True] * 3  # nobody notices
    assert told.endswith("config before the interrupt controller")


@pytest.mark.qemu
def test_the_catalogue_finds_it(arm: Callable[[int], Launcher]) -> None:
    words = ["reproduce", "B2", "--qemu", str(arm(10).program)]
    told = CliRunner().invoke(bugs, words, catch_exceptions=False).output
    assert "P1   wrong: device 0000:00:01.0/vfio: config before the interrupt controller" in told
    assert "the bug shows" in told
    assert "L1" not in told


@pytest.mark.qemu
async def test_load_ready_mends_b2(arm: Callable[[int], Launcher], tmp_path: Path) -> None:
    outcome, told = await late_controller(arm(11), tmp_path, "load-ready")
    assert (told, outcome.result.exit_code) == ("holds", 0)


@pytest.mark.qemu
@pytest.mark.parametrize("major", [10, 11])
async def test_our_destination_takes_it_and_so_does_it_our_source(
    arm: Callable[[int], Launcher], tmp_path: Path, major: int
) -> None:
    launcher = arm(major)
    got = await receive(launcher, tmp_path, devices=2, channels=3)
    assert (got.error, got.status) == (None, "completed")
    assert all(got.verified().values())
    asked = loads(SCENARIO.format(handoff="load-thread"), "test")
    asked = asked.model_copy(update={"uuid": asked.migration_uuid()})
    plan = Plan(asked, (10, 0), board=launcher.board)
    with QemuSide.prepare("destination", launcher, plan, tmp_path, keep_state=True) as side:
        async with side.running(LIMIT) as machine:
            driven = await drive(machine, asked, make_target("virt-10.0", None, None, multifd=True), side.ram)
    assert (driven.error, driven.status, driven.ram()) == (None, "completed", True)
    assert loaded(driven, tmp_path) == [True, True]


@pytest.mark.qemu
async def test_the_doctor_knows_its_machines(arm: Callable[[int], Launcher]) -> None:
    report = await doctor.examine(arm(10))
    assert report.works(doctor.DEVICE_STATE)
    assert report.facts is not None
    assert report.facts.newest == "virt-10.0"


# without a QEMU


def launcher(path: Path, program: str) -> Launcher:
    return binary.Launcher(path / program, (10, 0, 13))


def test_a_program_tells_its_board(tmp_path: Path) -> None:
    assert launcher(tmp_path, PROGRAM).board is VIRT
    assert [board_of(name) for name in ("qemu-system-x86_64", "kvm")] == [PC, PC]
    assert [board_of_machine(name) for name in ("virt-10.0", "virt", "pc-q35-10.0")] == [VIRT, VIRT, PC]
    assert VIRT.machine((10, 0)) == "virt-10.0,gic-version=3"


def test_nobody_writes_to_its_ram_and_a_note_says_so() -> None:
    text = SCENARIO.format(handoff="load-thread").replace("16 MiB", '16 MiB"\ndirty_rate = "1 MiB/s')
    plan = Plan(loads(text, "test"), (11, 1), board=VIRT)
    assert any("only halts" in note for note in plan.notes())


def test_it_does_not_migrate_to_a_pc(tmp_path: Path) -> None:
    options = PairOptions(launcher(tmp_path, PROGRAM), launcher(tmp_path, "qemu-system-x86_64"))
    with pytest.raises(UsageError, match="source of aarch64 and a destination of x86_64"):
        asyncio.run(pair.migrate(scenario("load-thread"), tmp_path, options))


def test_a_pcs_rows_are_not_its(tmp_path: Path) -> None:
    found: Any = hostile.select(("A0",))[0]
    with pytest.raises(UsageError, match="row A0 is for x86_64"):
        asyncio.run(play(found, launcher(tmp_path, PROGRAM)))
    assert not found.bench.suits(launcher(tmp_path, PROGRAM))
    assert hostile.ROWS["P1"].bench.suits(launcher(tmp_path, PROGRAM))
    assert not hostile.ROWS["P2"].bench.suits(launcher(tmp_path, PROGRAM))
