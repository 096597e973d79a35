"""The folder of devices: what is written for the shim, what QEMU is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import ConfigError, DeviceError
from migemu.qemu.standin import MAX_DEVICES, DeviceFile, StandIn, pci_address, section_id
from migemu.vfio.states import State

if TYPE_CHECKING:
    from pathlib import Path


def device(**fields: object) -> DeviceFile:
    return DeviceFile(section="a/vfio", state_size=7, **fields)  # type: ignore[arg-type]  # any one field


def test_a_device_file_says_numbers_and_leaves_out_what_has_none() -> None:
    text = device(precopy=True, write_rate=500, enter_ns={State.STOP_COPY: 3}, read_error_at=0).text()
    lines = text.splitlines()
    assert {"section = a/vfio", "state_size = 7", "precopy = 1", "write_rate = 500"} <= set(lines)
    assert {"enter_ns.STOP_COPY = 3", "read_error_at = 0"} <= set(lines)
    assert not [line for line in lines if line.startswith(("read_rate", "keep_file", "write_error_at"))]


def test_devices_have_a_slot_each_while_there_are_slots() -> None:
    assert [pci_address(n, 30) for n in (0, 9, 29)] == ["01.0", "0a.0", "1e.0"]
    assert section_id(9, 30) == "0000:00:0a.0/vfio"


def test_more_devices_share_slots_and_no_two_an_address() -> None:
    addresses = [pci_address(n, MAX_DEVICES) for n in range(MAX_DEVICES)]
    assert len(set(addresses)) == MAX_DEVICES == 240
    assert (addresses[0], addresses[8], addresses[-1]) == ("01.0", "02.0", "1e.7")


def test_more_still_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at most 240"):
        StandIn(tmp_path, [device()] * 241)


def test_qemu_is_told_where_each_device_is(tmp_path: Path) -> None:
    standin = StandIn(tmp_path / "vfio", [device(), device()])
    option, first, _, second = standin.arguments({"enable-migration": "on"})
    assert option == "-device"
    assert first == f"vfio-pci,sysfsdev={tmp_path}/vfio/devices/device0,addr=01.0,enable-migration=on"
    assert "addr=02.0" in second
    assert (standin.sysfsdev(1) / "iommu_group").readlink().name == "1"


def test_devices_that_share_slots_say_so(tmp_path: Path) -> None:
    assert all(",multifunction=on" in words for words in StandIn(tmp_path, [device()] * 31).arguments()[1::2])


def test_a_comma_in_the_path_would_end_an_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="comma"):
        StandIn(tmp_path / "a,b", [])


def test_a_second_run_in_the_same_folder_is_fine(tmp_path: Path) -> None:
    StandIn(tmp_path, [device()])
    StandIn(tmp_path, [device(p2p=False)])
    assert "p2p = 0" in (tmp_path / "devices/device0/model.ini").read_text()


def test_before_anything_happened_there_are_no_events(tmp_path: Path) -> None:
    assert StandIn(tmp_path, []).events() == []


def test_a_torn_log_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    standin = StandIn(tmp_path, [])
    (tmp_path / "events.jsonl").write_text('{"event":"x"}\n{"eve')
    with pytest.raises(DeviceError, match=r"events\.jsonl"):
        standin.events()
