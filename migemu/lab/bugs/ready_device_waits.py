"""ready-device-waits: a device that is ready waits for one that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.stock import stock
from migemu.lab.system import Setup

if TYPE_CHECKING:
    from typing import Any

    from migemu.destination.core import Core
    from migemu.threads.controlled import ControlledThreads

PATIENCE = 0.1
"""Virtual seconds a device may wait for its config once everything it needs is there."""


def loads_when_ready(threads: ControlledThreads, core: Core) -> None:  # noqa: ARG001  the events say it all
    """A device whose data is in gets its config soon, whatever the other devices do."""
    arrived: dict[str, float] = {}
    late: list[str] = []

    def hear(event: str, now: float, _thread: str, fields: dict[str, Any]) -> None:
        device = str(fields.get("device", ""))
        if event == "vfio_load_state_device_buffer_load_end":
            arrived[device] = now
        elif event == "vfio_load_device_config_state_start":
            waited = now - arrived.get(device, now)
            if waited > PATIENCE:
                late.append(f"{device} had all its data and waited {waited:g} s for its config")

    threads.listen(hear)
    threads.invariant("loads-when-ready", lambda: late[0] if late else None)


SLOW = "device.0.write_rate=64 B/s"
DEVICES = "devices=2", "device.*.state_size=128", SLOW
BLOCKING = stock("handoff=blocking-wait", *DEVICES)
READY = stock("handoff=load-ready", *DEVICES)

BUG = Bug(
    name="ready-device-waits",
    title="head-of-line blocking under blocking-wait",
    story=Story(
        mechanism="""The incoming thread blocks in each device's section until that device's data is in,
        in the order of the sections. A slow first device keeps every later one waiting, however long its
        data has been there.""",
        happened="""Maciej S. Szmigiero's objection of 20 September 2024 to a plain blocking wait: "if B
        is ready before A, B waits idle for A". A performance bug: nothing is wrong but the time.""",
        fix="Load configs in the order of readiness, as every later design does.",
        versions="never built",
        links=("bbed8165-de5c-4ebe-a6cc-ff33f9ea363a@maciej.szmigiero.name",),
    ),
    changed="nothing in the code: it is the blocking-wait design of the debate, the first device a slow one",
    breaks="loads-when-ready",
    broken=Setup(BLOCKING, watch=loads_when_ready, name="ready-device-waits broken"),
    correct=Setup(READY, watch=loads_when_ready, name="ready-device-waits correct"),
    instead="load-ready: each device's own thread loads its config when its mark and its data are there",
    hunt=Hunt(schedules=50, length=100, all_of_correct=1000),
)
