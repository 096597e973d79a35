"""The make-believe device, spoken to as a VMM would, without a VMM."""

from __future__ import annotations

import ctypes
import errno
import struct
import time
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import xxhash

from migemu.errors import DeviceStateError
from migemu.vfio.states import Feature, State, path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Any]
    Refused = Callable[[int], Any]

GET, PROBE = 1 << 16, 1 << 18
ALL: dict[str, Any] = {"precopy": True, "p2p": True}


def generated(seed: int, size: int) -> bytes:
    """What shim/content.c documents: little-endian 64-bit offsets xor seed."""
    words = (offset ^ seed for offset in range(0, size + 8, 8))
    return b"".join(word.to_bytes(8, "little") for word in words)[:size]


def test_a_container_a_group_and_a_device_are_found(client: Make) -> None:
    vmm = client(state_size=0)
    assert vmm.ioctl(vmm.group, 3, 8, 0)[4:] == b"\1\0\0\0"  # viable
    device = vmm.device()
    flags, regions, irqs = struct.unpack("<III", vmm.ioctl(device, 7, 24, 0, 0, 0, 0, 0)[4:16])
    assert (flags, regions, irqs) == (3, 9, 5)  # PCI, resettable


def test_only_the_config_region_has_a_size(client: Make) -> None:
    vmm = client(state_size=0)
    device = vmm.device()
    regions = [vmm.ioctl(device, 8, 32, 0, index, 0, bytes(16)) for index in range(9)]
    sizes = [int.from_bytes(region[16:24], "little") for region in regions]
    assert sizes == [0, 0, 0, 0, 0, 0, 0, 256, 0]
    assert int.from_bytes(regions[7][24:], "little") == 7 << 40


def test_a_probe_for_a_bar_finds_none_but_the_command_register_keeps_what_is_written(client: Make) -> None:
    vmm = client(state_size=0, vendor_id=0x1234, device_id=0x5678)
    device = vmm.device()
    vmm.write_config(device, 0x10, b"\xff" * 4)
    vmm.write_config(device, 4, b"\x06\x05")
    assert vmm.config(device, 0x10, 4) == bytes(4)
    assert vmm.config(device, 0, 6) == bytes.fromhex("34127856") + b"\x06\x05"


def test_what_is_no_vfio_file_goes_to_libc(client: Make, tmp_path: Path) -> None:
    vmm = client(state_size=0)
    (tmp_path / "file").write_bytes(b"plain")
    fd = vmm.libc.open(bytes(tmp_path / "file"), 0)
    assert vmm.read(fd, 100) == b"plain"
    vmm.close(fd)


@pytest.mark.parametrize("features", [0, 1, 2, 3])
def test_every_transition_walks_the_way_of_the_uapi(client: Make, features: int) -> None:
    """The shim's table and migemu's own are two readings of the same specification."""
    flags = {"p2p": bool(features & 1), "precopy": bool(features & 2)}
    has = Feature.STOP_COPY | (Feature.P2P if flags["p2p"] else Feature(0))
    has |= Feature.PRE_COPY if flags["precopy"] else Feature(0)
    for start, end in product(list(State)[1:], repeat=2):
        vmm = client(state_size=0, **flags)
        device = vmm.device()
        try:
            vmm.move(device, start)
        except OSError:
            continue
        before = len(vmm.told("vfio_migration_set_device_state"))
        try:
            vmm.move(device, end)
            went = [told["state"] for told in vmm.told("vfio_migration_set_device_state")[before:]]
        except OSError:
            went = None
        assert went == expected(start, end, has), (start, end)


def expected(start: State, end: State, has: Feature) -> list[State] | None:
    try:
        return list(path(start, end, has))
    except DeviceStateError:
        return None


@pytest.mark.parametrize(("precopy", "p2p", "flags"), [(0, 0, 1), (0, 1, 3), (1, 0, 5), (1, 1, 7)])
def test_it_says_which_migration_features_it_has(client: Make, precopy: int, p2p: int, flags: int) -> None:
    vmm = client(state_size=0, precopy=bool(precopy), p2p=bool(p2p))
    device = vmm.device()
    vmm.feature(device, GET | PROBE | 1)
    assert int.from_bytes(vmm.feature(device, GET | 1), "little") == flags


def test_a_feature_it_does_not_have_is_refused(client: Make, refused: Refused) -> None:
    vmm = client(state_size=0)
    with refused(errno.ENOTTY):
        vmm.feature(vmm.device(), GET | 3)


@pytest.mark.parametrize("size", [0, 1, 7, 31, 32, 33, 4096, 1_000_003])
def test_the_state_is_read_whole_whatever_the_size_of_a_read(client: Make, size: int) -> None:
    vmm = client(state_size=size, seed=0xABCDEF0123)
    device = vmm.device()
    fd = vmm.move(device, State.STOP_COPY)
    assert vmm.read_all(fd, 4099) == generated(0xABCDEF0123, size)
    vmm.close(fd)
    (session,) = vmm.told("vfio_migration_data")
    assert session["bytes"] == size
    assert session["xxh64"] == xxhash.xxh64_hexdigest(generated(0xABCDEF0123, size))


def test_the_state_may_be_a_file(client: Make, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20
    (tmp_path / "state").write_bytes(content)
    vmm = client(state_size=len(content), state_file=tmp_path / "state")
    assert vmm.read_all(vmm.move(vmm.device(), State.STOP_COPY), 999) == content


def test_reads_that_give_less_give_all_in_the_end(client: Make) -> None:
    vmm = client(state_size=100_000, read_partial=True, seed=3)
    fd = vmm.move(vmm.device(), State.STOP_COPY)
    pieces = list(iter(lambda: vmm.read(fd, 50_000), b""))
    assert len(pieces) > 2
    assert b"".join(pieces) == generated(3, 100_000)
    assert [told["bytes"] for told in vmm.told("vfio_save_device_state_buffer")] == [*map(len, pieces)]


def test_a_read_gives_no_more_than_the_device_has_ready(client: Make) -> None:
    vmm = client(state_size=100_000, read_size=65_536, seed=3)
    fd = vmm.move(vmm.device(), State.STOP_COPY)
    assert [len(vmm.read(fd, 1 << 20)) for _ in range(3)] == [65_536, 34_464, 0]


@pytest.mark.parametrize("partial", [0, 1])
def test_what_is_loaded_is_kept_and_digested(client: Make, tmp_path: Path, partial: int) -> None:
    content = generated(9, 123_457)
    vmm = client(state_size=0, keep_file=tmp_path / "kept", write_partial=bool(partial), seed=1)
    device = vmm.device()
    fd = vmm.move(device, State.RESUMING)
    took = vmm.write_all(fd, content)
    vmm.close(fd)
    assert (len(took) > 1) is bool(partial)
    assert (tmp_path / "kept").read_bytes() == content
    assert vmm.told("vfio_migration_data")[-1]["xxh64"] == xxhash.xxh64_hexdigest(content)


def test_precopy_gives_initial_bytes_then_dirty_ones_then_says_not_now(
    client: Make, refused: Refused
) -> None:
    vmm = client(state_size=1000, initial_size=64, precopy_size=32, **ALL)
    fd = vmm.move(vmm.device(), State.PRE_COPY)
    assert struct.unpack("<QQ", vmm.ioctl(fd, 21, 24, 0, bytes(16))[8:]) == (64, 32)
    assert [len(vmm.read(fd, 4096)) for _ in range(2)] == [64, 32]
    with refused(errno.ENOMSG):
        vmm.read(fd, 4096)


def test_precopy_goes_on_into_stop_copy_on_the_same_fd_as_one_stream(client: Make) -> None:
    vmm = client(state_size=1000, initial_size=64, precopy_size=32, seed=5, **ALL)
    device = vmm.device()
    fd = vmm.move(device, State.PRE_COPY)
    first = vmm.read(fd, 4096)
    assert vmm.move(device, State.STOP_COPY) == -1
    assert int.from_bytes(vmm.feature(device, GET | 9), "little") == 1032
    assert first + vmm.read_all(fd) == generated(5, 1096)


def test_a_running_device_dirties_what_was_read(client: Make) -> None:
    """At 2**50 bytes a second every look finds the whole pre-copy size dirty again."""
    vmm = client(state_size=0, precopy_size=500, precopy_dirty_rate=1 << 50, **ALL)
    fd = vmm.move(vmm.device(), State.PRE_COPY)
    assert [len(vmm.read(fd, 4096)) for _ in range(3)] == [500, 500, 500]


def test_the_data_fd_dies_with_its_session(client: Make, refused: Refused) -> None:
    vmm = client(state_size=1000)
    device = vmm.device()
    fd = vmm.move(device, State.STOP_COPY)
    vmm.move(device, State.STOP)
    with refused(errno.ENODEV):
        vmm.read(fd, 10)


def test_a_source_device_takes_no_data(client: Make, refused: Refused) -> None:
    vmm = client(state_size=1000)
    fd = vmm.move(vmm.device(), State.STOP_COPY)
    with refused(errno.ENODEV):
        vmm.write_all(fd, b"data")


def test_an_injected_error_comes_at_its_offset(client: Make, refused: Refused) -> None:
    vmm = client(state_size=0, write_error_at=1000)
    fd = vmm.move(vmm.device(), State.RESUMING)
    assert vmm.libc.write(fd, bytes(4096), 4096) == 1000
    with refused(errno.EIO):
        vmm.write_all(fd, bytes(4096))
    assert vmm.told("error")[0]["offset"] == 1000


def test_an_injected_stall_holds_one_read_and_then_goes_on(client: Make) -> None:
    vmm = client(state_size=5000, read_stall_at=2000, stall_ns=1)
    fd = vmm.move(vmm.device(), State.STOP_COPY)
    assert [len(vmm.read(fd, 4096)) for _ in range(2)] == [2000, 3000]
    assert [told["message"] for told in vmm.told("error")] == ["injected stall"]


def test_a_refused_transition_leaves_the_device_where_it_was(client: Make, refused: Refused) -> None:
    vmm = client(state_size=0, fail={State.STOP_COPY: errno.EBUSY})
    device = vmm.device()
    with refused(errno.EBUSY):
        vmm.move(device, State.STOP_COPY)
    assert vmm.state(device) is State.STOP


def test_a_failed_device_is_in_error_until_it_is_reset(client: Make, refused: Refused) -> None:
    vmm = client(state_size=0, fail={State.RESUMING: errno.EIO}, fail_to_error=True)
    device = vmm.device()
    with refused(errno.EIO):
        vmm.move(device, State.RESUMING)
    assert vmm.state(device) is State.ERROR
    with refused(errno.EINVAL):
        vmm.move(device, State.RUNNING)
    vmm.ioctl(device, 11)
    assert vmm.state(device) is State.RUNNING


def test_a_transition_takes_its_time_and_a_paced_read_its_own(client: Make) -> None:
    """Read off the device's own clock: later than it may be is fine, earlier never."""
    vmm = client(state_size=1 << 20, read_rate=100 << 20, enter_ns={State.STOP_COPY: 20_000_000})
    fd = vmm.move(vmm.device(), State.STOP_COPY)
    vmm.read_all(fd, 1 << 18)
    states = {told["state"]: told["t"] for told in vmm.told("vfio_migration_set_device_state")}
    assert states["STOP_COPY"] - states["STOP"] >= 0.02
    last = vmm.told("vfio_save_device_state_buffer")[-1]
    assert last["t"] - states["STOP_COPY"] >= 0.01 - 0.001  # told a moment after it was entered


def test_a_device_that_idled_is_no_faster_for_it(client: Make) -> None:
    """Two reads of 10 ms with a pause; the second may only make good what the first was woken late."""
    vmm = client(state_size=1 << 20, read_rate=50 << 20)
    fd = vmm.move(vmm.device(), State.STOP_COPY)
    begun = time.monotonic()
    vmm.read(fd, 1 << 19)
    late = time.monotonic() - begun - 0.01
    time.sleep(0.03)
    begun = time.monotonic()
    vmm.read(fd, 1 << 19)
    took = vmm.told("vfio_save_device_state_buffer")[-1]["t"] - begun
    assert took >= 0.01 - late - 0.001


def test_loading_config_costs_its_time_once_and_only_while_resuming(client: Make) -> None:
    vmm = client(state_size=0, config_load_ns=5_000_000)
    device = vmm.device()
    vmm.write_config(device, 4, b"\7\0")
    assert not vmm.told("vfio_pci_write_config")
    vmm.move(device, State.RESUMING)
    vmm.write_config(device, 4, b"\7\0")
    vmm.write_config(device, 4, b"\7\0")
    (cost,) = vmm.told("vfio_pci_write_config")
    resuming = vmm.told("vfio_migration_set_device_state")[-1]
    assert cost["t"] - resuming["t"] >= 0.005


def test_dma_dirty_pages_are_reported_each_time(client: Make) -> None:
    vmm = client(state_size=0, dma_dirty_pages=3)
    device = vmm.device()
    bitmap = (ctypes.c_uint64 * 1)()
    report = struct.pack("<QQQQ", 0, 64 * 4096, 4096, ctypes.addressof(bitmap))
    vmm.feature(device, GET | 8, report)
    assert bitmap[0] == 0b111


@pytest.mark.parametrize(
    "line", ["state_sise = 5", "state_size = many", "state_size = -1", "nonsense", "fail.X = 1"]
)
def test_a_misspelt_model_gives_no_device(client: Make, refused: Refused, line: str) -> None:
    vmm = client(state_size=0)
    (vmm.standin.sysfsdev(0) / "model.ini").write_text(f"section = a/vfio\n{line}\n")
    with refused(errno.ENODEV):
        vmm.device()


def test_no_folder_no_devices(client: Make, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    vmm = client(state_size=0)
    monkeypatch.delenv("MIGEMU_VFIO_DIR")
    with refused(errno.ENOENT):
        vmm.check(vmm.libc.open(b"/dev/vfio/0", 0))
