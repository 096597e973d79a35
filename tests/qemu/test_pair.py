"""Two real QEMUs and make-believe VFIO devices: every byte arrives, and what goes wrong is told."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from migemu.qemu import pair
from migemu.qemu.pair import Outcome, PairOptions
from migemu.scenario import loads

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Launcher

pytestmark = pytest.mark.qemu

CONFIG_LOAD_READY = "0xffffffffef100006"
"""The word in a device's own section that lets its load thread go on to the config."""

SCENARIO = """
handoff = "load-thread"
machine = "10.0"
[platform]
needs_interrupt_controller = false
[ram]
size = "16 MiB"
{ram}
[migration]
channels = {channels}
{migration}
[[device]]
count = {devices}
state_size = "{size}"
config_load_time = "2 ms"
{device}
"""


def scenario_text(**parts: Any) -> str:
    given = {"ram": "", "channels": 2, "migration": "", "devices": 2, "size": "3000000 B", "device": ""}
    return SCENARIO.format(**(given | parts))


async def migrate(
    folder: Path, source: Launcher, destination: Launcher | None = None, **parts: Any
) -> Outcome:
    multifd, limit = parts.pop("multifd", True), parts.pop("limit", 60.0)
    chosen = PairOptions(source, destination or source, multifd=multifd, limit=limit, keep_state=True)
    return await pair.migrate(loads(scenario_text(**parts), "test"), folder, chosen)


def expected(folder: Path, number: int, size: int) -> bytes:
    """The content that a source device's own file promises (shim/content.c), made without the shim."""
    lines = (folder / f"source/devices/device{number}/model.ini").read_text().splitlines()
    seed = next(int(line.split("=")[1]) for line in lines if line.startswith("seed"))
    return b"".join((offset ^ seed).to_bytes(8, "little") for offset in range(0, size + 8, 8))[:size]


def arrived(folder: Path, devices: int, size: int) -> bool:
    """Whether the destination's devices were given just what the source's had."""
    return all((folder / f"state{n}.bin").read_bytes() == expected(folder, n, size) for n in range(devices))


@pytest.mark.parametrize(("devices", "channels"), [(1, 2), (2, 2), (2, 16), (4, 1), (4, 4)])
async def test_every_byte_arrives(vfio_qemu: Launcher, tmp_path: Path, devices: int, channels: int) -> None:
    outcome = await migrate(tmp_path, vfio_qemu, devices=devices, channels=channels)
    assert outcome.result.reasons == ()
    assert outcome.result.verdict == "completed"
    assert arrived(tmp_path, devices, 3_000_000)
    assert [check.ok for check in outcome.result.verification] == [True] * (devices + 1)
    assert {device.buffers for device in outcome.result.devices} == {3}
    assert not outcome.result.broken()


async def test_the_downtime_has_all_its_parts(vfio_qemu: Launcher, tmp_path: Path) -> None:
    outcome = await migrate(tmp_path, vfio_qemu)
    parts = outcome.result.times.parts.model_dump().values()
    assert None not in parts
    assert sum(parts) == pytest.approx(outcome.result.times.downtime, rel=0.02)
    held = {check.name: check.ok for check in outcome.result.invariants}
    assert all(
        held[name] for name in ("data-in-order", "config-last", "start-after-all", "ends", "one-vm-runs")
    )


async def test_pre_copy_goes_first_and_the_switchover_waits_for_its_ack(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    device = 'precopy = true\ninitial_size = "1 MiB"\nprecopy_size = "1500 KiB"'
    outcome = await migrate(
        tmp_path, vfio_qemu, devices=4, channels=4, migration="switchover_ack = true", device=device
    )
    assert outcome.result.verdict == "completed"
    assert {result.precopy_bytes >= 1 << 20 for result in outcome.result.devices} == {True}
    assert arrived(tmp_path, 4, 3_000_000 + 1500 * 1024)


async def test_without_multifd_all_of_it_goes_over_the_main_channel(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    outcome = await migrate(tmp_path, vfio_qemu, multifd=False)
    assert (outcome.result.verdict, outcome.result.handoff) == ("completed", "main-channel")
    assert arrived(tmp_path, 2, 3_000_000)
    assert {device.data_bytes for device in outcome.result.devices} == {3_000_000}


async def test_partial_reads_and_writes_change_nothing(vfio_qemu: Launcher, tmp_path: Path) -> None:
    device = "injected = { read_partial = true, partial_writes = true }"
    outcome = await migrate(tmp_path, vfio_qemu, channels=8, device=device)
    assert outcome.result.verdict == "completed"
    assert arrived(tmp_path, 2, 3_000_000)


async def test_a_guest_that_writes_meanwhile_is_still_copied_whole(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    outcome = await migrate(
        tmp_path, vfio_qemu, devices=1, ram='dirty_rate = "20 MiB/s"\nworking_set = "4 MiB"'
    )
    assert outcome.result.verdict == "completed"
    assert next(check.ok for check in outcome.result.verification if check.what == "ram")
    assert outcome.result.ram.pages > 4096  # some of them more than once


async def test_both_versions_speak_to_each_other(
    vfio_qemus: tuple[Launcher, Launcher], tmp_path: Path
) -> None:
    for name, source, destination in (("up", *vfio_qemus[::-1]), ("down", *vfio_qemus)):
        (tmp_path / name).mkdir()
        outcome = await migrate(tmp_path / name, source, destination)
        assert (name, outcome.result.verdict) == (name, "completed")
        assert arrived(tmp_path / name, 2, 3_000_000)


async def test_the_newest_holds_config_until_the_platform_is_in(
    vfio_qemus: tuple[Launcher, Launcher], tmp_path: Path
) -> None:
    text = scenario_text().replace('"load-thread"', '"load-ready"').replace('"10.0"', '"11.1"')
    newest = vfio_qemus[0]
    outcome = await pair.migrate(loads(text, "test"), tmp_path, PairOptions(newest, newest, limit=60.0))
    assert (outcome.result.verdict, outcome.result.handoff) == ("completed", "load-ready")
    words = (tmp_path / "destination.trace").read_text()
    assert words.count(CONFIG_LOAD_READY) == 2
    assert words.rindex(CONFIG_LOAD_READY) < words.rindex("vfio_load_device_config_state_start")


async def test_a_device_that_fails_ends_the_migration_with_its_reason(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    outcome = await migrate(tmp_path, vfio_qemu, device='injected = { write_error_at = "1 MiB" }')
    assert (outcome.result.verdict, outcome.result.exit_code) == ("failed", 1)
    assert any("writing state buffer 1 failed" in reason for reason in outcome.result.reasons)
    assert {check.what for check in outcome.result.verification} == set()


async def test_a_device_that_stalls_hangs_the_destination_which_is_killed(
    vfio_qemu: Launcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migemu.qemu.machine.QUIT_LIMIT", 0.5)
    outcome = await migrate(tmp_path, vfio_qemu, limit=1.0, device='injected = { stall_at = "1 MiB" }')
    assert outcome.result.verdict == "failed"
    assert any("source: the migration did not end within 1 s" in reason for reason in outcome.result.reasons)
    assert {check.name for check in outcome.result.broken()} == {"ends"}


async def test_two_devices_without_p2p_are_refused_by_qemu_in_its_own_words(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    outcome = await migrate(tmp_path, vfio_qemu, device="p2p = false")
    assert any("support P2P migration" in reason for reason in outcome.result.reasons)


async def test_something_may_stand_between_the_two(vfio_qemu: Launcher, tmp_path: Path) -> None:
    """The seam for a tap: the address it gives is the one the source connects to."""
    seen: list[str] = []

    @contextlib.asynccontextmanager
    async def nowhere(address: str) -> Any:
        seen.append(address)
        yield "tcp:127.0.0.1:1"

    options = PairOptions(vfio_qemu, vfio_qemu, through=nowhere, limit=5.0)
    outcome = await pair.migrate(loads(scenario_text(), "test"), tmp_path, options)
    assert seen[0].startswith("tcp:127.0.0.1:")
    assert any("Connection refused" in reason for reason in outcome.result.reasons)
