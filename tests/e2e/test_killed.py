"""Either process is killed at ten moments: the other says why, in bounded time, and one side can run."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from e2e.sides import Bench, Side

SLOW = (
    "device.*.write_rate=12 MB/s",
    "device.*.config_load_time=150 ms",
    "device.*.transition_times.STOP=20 ms",
    "device.*.transition_times.RUNNING=100 ms",
    "platform.interrupt_controller_load_time=100 ms",
    "ram.dirty_rate=100 MiB/s",
)

MOMENTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "listening": ("destination", {}, "listening"),
    "first channel": ("destination", {}, "multifd_recv_new_channel"),
    "setup": ("source", {"state": "setup"}, "migrate_set_state"),
    "precopy round": ("source", {"round": 1}, "precopy_round"),
    "downtime starts": ("source", {"checkpoint": "src-downtime-start"}, "vmstate_downtime_checkpoint"),
    "VM stopped": ("source", {"checkpoint": "src-vm-stopped"}, "vmstate_downtime_checkpoint"),
    "device data": ("destination", {}, "vfio_load_bufs_thread_start"),
    "iterables saved": ("source", {"checkpoint": "src-iterable-saved"}, "vmstate_downtime_checkpoint"),
    "interrupt controller": ("destination", {}, "interrupt_controller_loaded"),
    "config": ("destination", {}, "vfio_load_device_config_state_start"),
    "everything sent": ("source", {"checkpoint": "src-non-iterable-saved"}, "vmstate_downtime_checkpoint"),
    "everything loaded": (
        "destination",
        {"checkpoint": "dst-precopy-loadvm-completed"},
        "vmstate_downtime_checkpoint",
    ),
    "VM given up": ("source", {"runnable": False}, "vm_state"),
    "VM starts": ("destination", {"checkpoint": "dst-precopy-bh-announced"}, "vmstate_downtime_checkpoint"),
}


@pytest.mark.parametrize("victim", ["source", "destination"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_one_side_killed_the_other_ends_and_one_vm_can_run(bench: Bench, moment: str, victim: str) -> None:
    sides = start(bench, moment, victim)
    if sides is None:
        pytest.skip("the source does not exist yet at this moment")
    sides[victim].process.send_signal(signal.SIGKILL)
    survivor = sides["source" if victim == "destination" else "destination"]
    code, said = survivor.finish()
    sides[victim].finish()
    assert who_can_run(sides, victim) in ({"source"}, {"destination"})
    if survivor.last_vm() != (True, True) or victim == "destination":
        assert code == 1
        assert said.startswith("migemu: "), said
        assert "Traceback" not in said


def start(bench: Bench, moment: str, victim: str) -> dict[str, Side] | None:
    """Both processes, at the moment; None when the victim is not there yet."""
    teller, fields, event = MOMENTS[moment]
    sets = [word for override in SLOW for word in ("--set", override)]
    # Whoever waits in vain for the other waits this long; the others must meet on a busy machine too.
    seconds = {"listening": 2, "multifd_recv_new_channel": 8}.get(event, 30)
    connect = ("--set", f"timeouts.connect={seconds} s")
    destination, address = bench.destination(*sets, *connect)
    if event == "listening" and victim == "source":
        return None
    if event == "listening":
        destination.process.send_signal(signal.SIGKILL)
    source = bench.source(address, *sets, *connect)
    sides = {"source": source, "destination": destination}
    if event != "listening":
        sides[teller].wait_for(event, **fields)
    return sides


def who_can_run(sides: dict[str, Side], victim: str) -> set[str]:
    """The sides whose VM may run.

    A dead destination's may not. A dead source's VM is still its own to start again, unless the destination
    was told to start it: a source may be killed between telling it and saying so.
    """
    able = {name for name, side in sides.items() if side.last_vm()[1]}
    if victim == "destination":
        return able - {"destination"}
    return able - {"source"} if "destination" in able else able
