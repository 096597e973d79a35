"""D3: a load thread fails and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import AwaitsEveryLoader, RecordingCore
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import WRITE_ERROR
from migemu.lab.system_parts import Parts

if TYPE_CHECKING:
    from typing import Any

    from migemu.destination.core import Core
    from migemu.threads.controlled import ControlledThreads

SOON = 0.2
"""Virtual seconds in which loading must stop after an error; a write under way is cut short within 0.1 s."""


def stops_soon(threads: ControlledThreads, core: Core) -> None:  # noqa: ARG001  the events say it all
    """Once the migration has failed, no device is written any more."""
    failed: list[float] = []
    late: list[str] = []

    def hear(event: str, now: float, _thread: str, fields: dict[str, Any]) -> None:
        if event == "error":
            failed.append(now)
        elif event == "vfio_load_state_device_buffer_load_end" and failed and now - failed[0] > SOON:
            late.append(f"idx {fields['idx']} of {fields['device']} is written {now - failed[0]:g} s after")

    threads.listen(hear)
    threads.invariant("stops-soon", lambda: f"{late[0]} the migration failed" if late else None)


SCENARIO = stock(
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=2",
    "device.*.state_size=192",
    "device.1.write_rate=64 B/s",
)
QEMU = Parts(handoff=AwaitsEveryLoader, core=RecordingCore)

BUG = Bug(
    name="D3",
    title="a load thread's error is not told to the others",
    story=Story(
        mechanism="""An error in a load thread only sets the migration's error. The main stream is still
        parsed to its end before anybody looks, and the other load threads are not told: they load all of
        their device's state for a migration that has failed.""",
        happened="A hypothesis from reading 10.2.2.",
        fix="What would mend it: the failing thread asks the others to leave, as cleanup will do anyway.",
        versions="10.0 to 10.2.2 by reading",
        evidence="""a hypothesis. Modelled: it does not hang, because the others' buffers still come; it
        fails late, here after as many virtual seconds as the slow device takes""",
    ),
    changed="one wake-up: an error is recorded and nobody is told, as QEMU 10.2 does",
    breaks="stops-soon",
    broken=Setup(SCENARIO, QEMU, watch=stops_soon, name="D3 broken"),
    correct=Setup(SCENARIO, watch=stops_soon, name="D3 correct"),
    instead="the abort of this destination: the other device's write is cut short and its thread leaves",
    hunt=Hunt(rules=Rules(faults=frozenset({WRITE_ERROR})), length=90, all_of_correct=1000),
    hypothesis=True,
)
