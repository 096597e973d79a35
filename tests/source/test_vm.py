"""The source's VM: the order in which it stops, and who may run it after a failure."""

from __future__ import annotations

from typing import Any

from migemu.ram import DirtyLog, GuestRam, Writer
from migemu.source.vm import SourceVm
from migemu.threads.native import NativeThreads
from migemu.vfio.content import digest_maker
from migemu.vfio.datafd import open_source
from migemu.vfio.model import DeviceModel
from migemu.vfio.save import SaveDevice
from migemu.vfio.states import State
from migemu.wire.buffers import HeapPool


def machine(**model: Any) -> tuple[SourceVm, list[tuple[str, dict[str, Any]]]]:
    """A VM of two such devices, and its events."""
    said: list[tuple[str, dict[str, Any]]] = []
    threads = NativeThreads(lambda event, _t, _thread, fields: said.append((event, fields)))
    ram = GuestRam.of_size(1 << 20)
    dirty = DirtyLog(len(ram.pages), threads)
    devices = [
        SaveDevice(
            DeviceModel(f"vf{number}", **model),
            open_source(None, 8192, number, HeapPool()),
            threads,
            digest_maker("xxh3_128"),
            config=b"config",
        )
        for number in range(2)
    ]
    writer = Writer(threads, ram, dirty, 64 << 20, 1 << 20, seed=1)
    return SourceVm(threads, writer, devices), said


def states(said: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    return [(f["device"], str(f["state"])) for event, f in said if event == "vfio_migration_set_device_state"]


def test_every_device_is_quiescent_before_any_stops() -> None:
    vm, said = machine()
    vm.start()
    vm.stop()
    assert states(said) == [
        ("vf0", "RUNNING_P2P"),
        ("vf1", "RUNNING_P2P"),
        ("vf0", "STOP"),
        ("vf1", "STOP"),
    ]
    vm.shut_down()


def test_devices_in_precopy_go_to_stop_copy_one_after_the_other() -> None:
    vm, said = machine(precopy=True, initial_size=4096)
    vm.start()
    vm.start_precopy()
    vm.stop()
    assert states(said)[-4:] == [
        ("vf0", "PRE_COPY_P2P"),
        ("vf1", "PRE_COPY_P2P"),
        ("vf0", "STOP_COPY"),
        ("vf1", "STOP_COPY"),
    ]
    vm.shut_down()


def test_a_failed_migration_gives_the_vm_back_with_every_device_running() -> None:
    vm, _ = machine()
    vm.start()
    vm.stop()
    vm.devices[0].set_state(State.STOP_COPY)
    vm.resume()
    assert vm.running
    assert [device.state for device in vm.devices] == [State.RUNNING, State.RUNNING]
    vm.shut_down()


def test_a_device_that_failed_is_reset_when_the_vm_comes_back() -> None:
    vm, _ = machine()
    vm.start()
    vm.stop()
    vm.devices[0].fail("broken on purpose")
    assert str(vm.devices[0].state) == "ERROR"
    vm.resume()
    assert str(vm.devices[0].state) == "RUNNING"
    vm.shut_down()


def test_a_vm_that_was_given_up_does_not_run_again_unless_reclaimed() -> None:
    vm, said = machine()
    vm.start()
    vm.stop()
    vm.disown()
    vm.say_disowned()
    vm.resume()
    assert (vm.running, vm.disowned) == (False, True)
    assert [f for event, f in said if event == "vm_state"][-1] == {"running": False, "runnable": False}
    vm.reclaim()
    vm.resume()
    assert (vm.running, vm.disowned) == (True, False)
    vm.shut_down()
