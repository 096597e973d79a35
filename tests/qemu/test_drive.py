"""Our source drives a real QEMU: what it is sent was all made here, and it takes it as a QEMU's."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from migemu.errors import ConfigError, UsageError
from migemu.qemu import migration
from migemu.qemu.drive import for_target, make_target, pci_config, shim_config
from migemu.qemu.drive_stream import page_words, zero_words
from migemu.qemu.memory import SharedRam
from migemu.qemu.peer_bare import bare
from migemu.wire import mainwriter
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader
from migemu.wire.records import RamBlock
from migemu.wire.vfio import wrap_config
from peering.bench import ALL, LIMIT, qemu, scenario
from peering.driving import loaded, to_devices, to_none

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Launcher

LATE = """
[[order]]
name = "late"
type = "delay"
stream = "out"
required = true
select = { idx = 0 }
attributes = { latency = "200 ms" }
"""

PRECOPY = 'precopy = true\ninitial_size = "1 MiB"\nprecopy_size = "1500 KiB"'


@pytest.mark.qemu
@pytest.mark.parametrize("major", [7, 10, 11])
@pytest.mark.parametrize("channels", [0, 1, 4, 16] if ALL else [0, 4])
async def test_ram_in_qemu_equals_what_was_sent(tmp_path: Path, major: int, channels: int) -> None:
    """Barriers and zero pages as each version wants them, with and without multifd."""
    got = await to_none(qemu(major), tmp_path, channels)
    assert (got.error, got.status) == (None, "completed")
    assert got.ram()


@pytest.mark.qemu
async def test_a_guest_that_writes_meanwhile_arrives_as_it_was_at_the_end(
    any_qemu: Launcher, tmp_path: Path
) -> None:
    memory = 'dirty_rate = "50 MiB/s"\nworking_set = "4 MiB"'
    got = await to_none(any_qemu, tmp_path, 3, memory=memory)
    assert (got.error, got.status, got.ram()) == (None, "completed", True)
    assert got.result.ram.rounds > 1


@pytest.mark.qemu
@pytest.mark.parametrize("channels", [0, 4])
async def test_without_a_way_back_nothing_is_cut_off(
    any_qemu: Launcher, tmp_path: Path, channels: int
) -> None:
    got = await to_none(any_qemu, tmp_path, channels, return_path=False)
    assert (got.error, got.status, got.ram()) == (None, "completed", True)


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("major", "machine", "devices", "channels"),
    [(10, "10.0", 4, 4), (11, "11.1", 2, 16), (11, "10.0", 1, 1)],
)
async def test_its_devices_are_given_what_ours_gave(
    tmp_path: Path, major: int, machine: str, devices: int, channels: int
) -> None:
    got = await to_devices(qemu(major), tmp_path, machine, devices=devices, channels=channels)
    assert (got.error, got.status, got.ram()) == (None, "completed", True)
    assert loaded(got, tmp_path) == [True] * devices


@pytest.mark.qemu
@pytest.mark.parametrize("machine", ["9.2", "10.0"])
async def test_without_multifd_transfer_they_are_on_the_main_channel(tmp_path: Path, machine: str) -> None:
    got = await to_devices(qemu(10), tmp_path, machine, multifd=False, devices=2, handoff="main-channel")
    assert (got.error, got.status, got.ram()) == (None, "completed", True)
    assert loaded(got, tmp_path) == [True, True]


@pytest.mark.qemu
@pytest.mark.parametrize(("major", "machine"), [(10, "10.0"), (11, "11.1")])
async def test_pre_copy_waits_for_the_ack_of_either_dialect(tmp_path: Path, major: int, machine: str) -> None:
    got = await to_devices(
        qemu(major), tmp_path, machine, devices=2, device=PRECOPY, migration="switchover_ack = true"
    )
    assert (got.error, got.status) == (None, "completed")
    assert loaded(got, tmp_path) == [True, True]
    assert got.session._parts.returns.acks >= 1


@pytest.mark.qemu
async def test_order_rules_act_on_what_a_real_qemu_is_sent(vfio_qemu: Launcher, tmp_path: Path) -> None:
    """Its first packet behind all others: it puts them together by idx all the same."""
    got = await to_devices(vfio_qemu, tmp_path, devices=2, channels=2, device=LATE)
    assert (got.error, got.status) == (None, "completed")
    assert loaded(got, tmp_path) == [True, True]
    assert "order_rule_fired" in {event.event for event in got.events}


@pytest.mark.qemu
async def test_a_config_of_another_device_is_refused_by_qemu(vfio_qemu: Launcher, tmp_path: Path) -> None:
    """What it checks is real: a PCI config space with another vendor."""
    other = tmp_path / "config"
    space = bytearray(shim_config())
    space[0] ^= 1
    other.write_bytes(space)
    got = await to_devices(vfio_qemu, tmp_path, devices=1, device=f'config = "{other}"')
    assert (got.status, "-22" in got.reason) == ("failed", True)


@pytest.mark.qemu
async def test_the_command_line_sends_to_a_qemu_and_verifies(any_qemu: Launcher, tmp_path: Path) -> None:
    version = ["--machine-version", "7.2"] if any_qemu.version < (8, 1) else []
    with SharedRam(4 << 20, "ram0") as ram:
        async with bare(any_qemu, tmp_path, ram, "destination", channels=2) as machine:
            address = (await migration.listen(machine))[4:]
            command = [sys.executable, "-m", "migemu", "source", "--connect", address, "--peer", "qemu"]
            command += ["--set", "ram.size=4 MiB", "--set", "ram.working_set=1 MiB", "--set", "channels=2"]
            memory = ["--verify-ram", f"/proc/self/fd/{ram.fd}", "--json", *version]
            process = await asyncio.create_subprocess_exec(
                *command, *memory, stdout=asyncio.subprocess.PIPE, pass_fds=(ram.fd,)
            )
            out, _ = await asyncio.wait_for(process.communicate(), LIMIT)
            assert (await migration.wait(machine, 10.0))["status"] == "completed"
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0
    assert [(event["what"], event["ok"]) for event in events if event["event"] == "verify"] == [("ram", True)]


# without a QEMU


def read(section: bytes) -> list[Any]:
    """What a reader makes of words inside a ram section."""
    blocks = mainwriter.ram_blocks([RamBlock("ram0", 1 << 20)])
    head = mainwriter.file_header() + mainwriter.section_start(2, "ram", 0, 4)
    return MainReader(HeapPool()).feed(head + blocks + section + mainwriter.ram_eos())[3:-1]


def test_zero_and_page_words_are_read_back_one_by_one() -> None:
    offsets = np.array([8192, 0, 4096], np.uint64)
    zeros = read(zero_words("ram0", offsets))
    assert [(zero.block, zero.offset, zero.continued) for zero in zeros] == [
        ("ram0", 8192, False),
        ("ram0", 0, True),
        ("ram0", 4096, True),
    ]
    pages = read(b"".join(page_words("ram0", offsets, memoryview(bytes(range(256)) * 48))))
    assert [(page.offset, page.continued) for page in pages] == [(8192, False), (0, True), (4096, True)]
    assert bytes(pages[2].data.view) == bytes(range(256)) * 16


def test_a_config_may_be_given_in_any_of_its_forms() -> None:
    state = pci_config(shim_config())
    assert len(state) == 276
    assert pci_config(state) == pci_config(wrap_config(state)) == state
    with pytest.raises(ConfigError, match="100 bytes are no PCI config state"):
        pci_config(bytes(100))


def test_what_is_known_of_the_target_decides_about_the_wire() -> None:
    old, new = (
        make_target("none", "7.2", None, multifd=True),
        make_target("pc-q35-9.2", None, "x", multifd=True),
    )
    assert (old.block, old.version.flush_word, new.block) == ("ram0", False, "x")
    assert for_target(scenario("11.1"), old).machine == "9.1"
    assert for_target(scenario("11.1"), new).machine == "9.2"
    assert for_target(scenario("11.1"), new).migration_uuid().int == 0
    off = for_target(scenario("11.1"), make_target("none", None, None, multifd=False))
    assert (off.migration.channels, off.handoff) == (0, "main-channel")
    with pytest.raises(UsageError, match="'new' is not of the form"):
        make_target("none", "new", None, multifd=True)
    with pytest.raises(UsageError, match="needs a source that is migemu"):
        for_target(scenario("11.1", handoff="non-iterable"), new)
