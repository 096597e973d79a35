"""When something may go wrong: the moments of a migration, and what makes each last long enough to be met."""

from __future__ import annotations

from typing import Any

SLOW = (
    "device.*.write_rate=12 MB/s",
    "device.*.config_load_time=150 ms",
    "device.*.transition_times.STOP=20 ms",
    "platform.interrupt_controller_load_time=100 ms",
    "ram.dirty_rate=100 MiB/s",
    "timeouts.connect=8 s",
    "timeouts.phase=4 s",
)
"""Each phase lasts long enough to be met, and each wait ends soon."""

PATIENT = ("timeouts.connect=60 s", "timeouts.phase=30 s")
"""For the migration after the fault: nothing happens to it, and a busy machine may take its time."""

CHECKPOINT = "vmstate_downtime_checkpoint"

PHASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "connect": ("source", "vm_state", {"running": True}),
    "hello": ("destination", "multifd_recv_new_channel", {}),
    "setup": ("source", "migrate_set_state", {"state": "setup"}),
    "precopy round": ("source", "precopy_round", {"round": 1}),
    "switchover": ("source", CHECKPOINT, {"checkpoint": "src-vm-stopped"}),
    "device data": ("destination", "vfio_load_bufs_thread_start", {}),
    "non-iterables": ("destination", "interrupt_controller_loaded", {}),
    "config": ("destination", "vfio_load_device_config_state_start", {}),
    "EOF": ("source", CHECKPOINT, {"checkpoint": "src-non-iterable-saved"}),
    "after EOF": ("destination", CHECKPOINT, {"checkpoint": "dst-precopy-loadvm-completed"}),
    "before SHUT": ("source", "vm_state", {"runnable": False}),
}
"""Which side's event, with which fields, says that the phase is on."""

SETTLED = "device data"
"""The phase in which a fault that settings bring about strikes."""

HOLDS: dict[str, dict[str, tuple[str, ...]]] = {
    "after EOF": {"source": ("link.delay=400 ms",)},
    "before SHUT": {"destination": ("device.*.transition_times.RUNNING=400 ms",)},
}
"""What else a side is told so that a phase lasts: the two answers of the commit, or the start of the VM."""


def settings(phase: str, side: str) -> tuple[str, ...]:
    """Of a side, for faults in that phase."""
    usual = ("device.*.transition_times.RUNNING=100 ms",)
    return (*SLOW, *usual, *HOLDS.get(phase, {}).get(side, ()))
