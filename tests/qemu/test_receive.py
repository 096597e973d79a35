"""A real QEMU migrates into our destination: whatever it is, its RAM and its devices arrive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import UsageError
from migemu.lab.capture import Capture
from migemu.lab.capture_rows import rows
from migemu.observe.recorder import Recorder
from migemu.qemu.memory import SharedRam
from migemu.qemu.peer_bare import bare
from migemu.qemu.receive import QemuSession, Wishes
from migemu.qemu.receive_core import QemuCore
from migemu.threads.native import NativeThreads
from peering.bench import ALL, finish, qemu, receive, receiving, scenario

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher

pytestmark = pytest.mark.qemu

PRECOPY = 'precopy = true\ninitial_size = "1 MiB"\nprecopy_size = "1500 KiB"'

DIALECTS = [
    (7, "7.2", 4, "EOS barriers, zero pages on the main channel, SYNC packets with pages"),
    (10, "8.0", 2, "EOS barriers of a newer QEMU, SYNC packets stay empty"),
    (10, "8.1", 2, "FLUSH barriers, zero pages on the main channel"),
    (10, "9.2", 4, "zero pages in packets, no SWITCHOVER_START"),
    (11, "11.1", 16, "all of it"),
]


@pytest.mark.parametrize(("major", "machine", "channels", "what"), DIALECTS, ids=str)
async def test_every_dialect_of_barriers_and_zero_pages_gives_the_same_ram(
    tmp_path: Path, major: int, machine: str, channels: int, what: str
) -> None:
    got = await receive(qemu(major), tmp_path, machine=machine, channels=channels)
    assert (got.error, got.status) == (None, "completed"), what
    assert got.verified() == {"ram": True}
    assert got.session.core.plan.channels == channels
    assert not got.result.broken()


async def test_nothing_need_be_known_of_it(any_qemu: Launcher, tmp_path: Path) -> None:
    """Neither RAM nor channels nor uuid nor machine: the scenario says other things."""
    with SharedRam(4 << 20, "ram0") as ram:
        ram.fill(3)
        recorder = Recorder("destination", scenario("10.0", ram="64 MiB", channels=9))
        wishes = {"peer": "qemu", "verify_ram": Path(f"/proc/self/fd/{ram.fd}"), "ram_block": "ram0"}
        async with (
            bare(any_qemu, tmp_path, ram, "source", channels=3) as source,
            receiving(recorder, wishes) as listening,
        ):
            got = await finish(source, listening, recorder)
    assert (got.error, got.status, got.verified()) == (None, "completed", {"ram": True})
    assert got.events("peer") == [{"what": "qemu", "machine": "none", "channels": 3}]


@pytest.mark.parametrize("back", ["return_path = true", "return_path = false"])
@pytest.mark.parametrize("channels", [0, 1, 64] if ALL else [0, 4])
async def test_with_and_without_multifd_and_a_way_back(
    any_qemu: Launcher, tmp_path: Path, channels: int, back: str
) -> None:
    machine = "7.2" if any_qemu.version < (9, 1) else "9.2"
    got = await receive(
        any_qemu,
        tmp_path,
        machine=machine,
        multifd=bool(channels),
        migration=back,
        channels=max(channels, 1),
    )
    assert (got.error, got.status, got.verified()) == (None, "completed", {"ram": True})


async def test_a_guest_that_writes_meanwhile_arrives_as_it_was_at_the_end(
    any_qemu: Launcher, tmp_path: Path
) -> None:
    memory = 'dirty_rate = "20 MiB/s"\nworking_set = "4 MiB"'
    machine = "7.2" if any_qemu.version < (9, 1) else "9.2"
    got = await receive(any_qemu, tmp_path, machine=machine, memory=memory, channels=4)
    assert (got.error, got.status, got.verified()) == (None, "completed", {"ram": True})


@pytest.mark.parametrize(("devices", "channels"), [(1, 1), (4, 4), (4, 16)])
async def test_every_device_is_put_together_and_verified(
    vfio_qemu: Launcher, tmp_path: Path, devices: int, channels: int
) -> None:
    got = await receive(vfio_qemu, tmp_path, devices=devices, channels=channels)
    assert (got.error, got.status) == (None, "completed")
    assert got.verified() == {"ram": True} | {
        f"data 0000:00:{n + 1:02x}.0/vfio": True for n in range(devices)
    }
    assert [device.buffers for device in got.result.devices] == [3] * devices
    assert {device.config_bytes for device in got.result.devices} == {276}
    assert not got.result.broken()


LOADERS = ["main-channel", "load-thread", "load-ready", "loadvm-thread", "reentrant", "post-load-jobs"]


@pytest.mark.parametrize("handoff", LOADERS)
async def test_any_hand_off_that_needs_no_more_than_qemu_sends_can_load_them(
    tmp_path: Path, handoff: str
) -> None:
    """Also one that QEMU never had: how a proposal would have loaded what a real source sends."""
    sends = handoff if handoff in ("main-channel", "load-ready") else "load-thread"
    parts: dict[str, Any] = {"machine": "11.1", "handoff": sends, "load_with": handoff}
    got = await receive(qemu(11), tmp_path, devices=2, channels=4, **parts)
    assert (got.error, got.status) == (None, "completed")
    assert all(got.verified().values())
    assert got.session.core.handoff.design.name == handoff


async def test_a_hand_off_that_needs_more_is_refused_before_anybody_comes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hand-off non-iterable needs a source that is migemu"):
        QemuSession(scenario("11.1", handoff="non-iterable"), NativeThreads(), Wishes(peer="qemu"))


@pytest.mark.parametrize(("major", "machine"), [(10, "10.0"), (11, "11.1")])
@pytest.mark.parametrize("carrier", ["multifd", "main channel"])
async def test_pre_copy_data_is_acknowledged_in_either_dialect(
    tmp_path: Path, major: int, machine: str, carrier: str
) -> None:
    parts: dict[str, Any] = {"machine": machine, "device": PRECOPY, "migration": "switchover_ack = true"}
    got = await receive(qemu(major), tmp_path, multifd=carrier == "multifd", devices=2, **parts)
    assert (got.error, got.status) == (None, "completed")
    assert all(got.verified().values())
    assert len(got.verified()) == 3
    assert len(got.events("vfio_load_state_init_data_sent")) == 2


@pytest.mark.parametrize(("major", "machine"), [(10, "10.0"), (11, "11.1")])
async def test_an_ack_that_no_device_asks_for_is_given_where_it_is_waited_for(
    tmp_path: Path, major: int, machine: str
) -> None:
    """10.0 waits for one even then; 11.1 would fail on it."""
    got = await receive(qemu(major), tmp_path, machine=machine, devices=1, migration="switchover_ack = true")
    assert (got.error, got.status) == (None, "completed")


async def test_it_is_found_out_by_itself(vfio_qemu: Launcher, tmp_path: Path) -> None:
    got = await receive(vfio_qemu, tmp_path, devices=2, channels=3, wishes={"peer": "auto"})
    assert (got.error, got.status) == (None, "completed")
    assert all(got.verified().values())
    assert [told["what"] for told in got.events("peer")] == ["qemu"]


async def test_every_section_is_named_and_all_of_it_kept(vfio_qemu: Launcher, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    got = await receive(vfio_qemu, tmp_path, devices=2, channels=2, wishes={"save": kept})
    assert (got.error, got.status) == (None, "completed")
    names = [row["idstr"] for row in json.loads((kept / "sections.json").read_text())]
    assert {"ram", "timer", "globalstate", "0000:00:1f.0/ICH9LPC"} <= set(names)
    assert names.count("0000:00:02.0/vfio") == 2  # START, and FULL in the tail
    core = got.session.core
    assert isinstance(core, QemuCore)
    assert core.incoming.runstate == "running"
    packets = [row.said for row in rows(Capture(kept)) if row.record == "DevicePacket"]
    assert {said["device"] for said in packets} == {"0000:00:01.0/vfio", "0000:00:02.0/vfio"}
    assert sorted(said["idx"] for said in packets) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (kept / "ram/pc.ram.img").stat().st_size == 8 << 20
    seed = int((tmp_path / "source/devices/device0/model.ini").read_text().partition("seed = ")[2].split()[0])
    assert (kept / "devices/0000:00:01.0_vfio.state").read_bytes()[:8] == seed.to_bytes(8, "little")


async def test_wrong_ram_is_said_to_the_source_whose_vm_goes_on(vfio_qemu: Launcher, tmp_path: Path) -> None:
    """What is compared with is the source's own content but for one byte."""
    with SharedRam(8 << 20) as other:
        other.fill(1)
        other.words[-1, -1] ^= 1
        got = await receive(vfio_qemu, tmp_path, wishes={"verify_ram": Path(f"/proc/self/fd/{other.fd}")})
    assert "differs from the source: ram: block pc.ram: 1 pages differ" in str(got.error)
    assert (got.status, got.running) == ("failed", True)
    assert got.verified() == {"ram": False}


async def test_a_device_that_refuses_a_write_ends_it_on_both_sides(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    got = await receive(vfio_qemu, tmp_path, devices=2, device='injected = { write_error_at = "1 MiB" }')
    assert "write at offset" in str(got.error)
    assert (got.status, got.running) == ("failed", True)


async def test_a_source_with_more_ram_than_allowed_is_refused(vfio_qemu: Launcher, tmp_path: Path) -> None:
    got = await receive(vfio_qemu, tmp_path, memory='[limits]\nmax_ram = "1 MiB"')
    assert "limits.max_ram" in str(got.error)
    assert (got.status, got.running) == ("failed", True)
