"""K20: SWITCHOVER_START comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.load_ready import LoadReady
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts

if TYPE_CHECKING:
    from typing import Any

    from migemu.destination.core import Core
    from migemu.threads.controlled import ControlledThreads


class StartsAgain(LoadReady):
    """Starts load threads at every such command."""

    def switchover_start(self) -> None:
        """Once more."""
        self.started = True
        self.spawn_loaders()


def no_assertion(threads: ControlledThreads, core: Core) -> None:  # noqa: ARG001  the events say it all
    """No load thread meets a reassembly in a state that cannot be: in QEMU that is an assertion."""
    tripped: list[str] = []

    def hear(event: str, _now: float, thread: str, fields: dict[str, Any]) -> None:
        if event == "error" and fields["kind"] == "InvariantError":
            tripped.append(f"{thread}: {fields['message']}")

    threads.listen(hear)
    threads.invariant("one-loader-a-device", lambda: tripped[0] if tripped else None)


SCENARIO = stock("devices=1", "device.0.state_size=128")
TRAFFIC = Setup(SCENARIO).sent.doubled("SWITCHOVER_START")

BUG = Bug(
    name="K20",
    title="SWITCHOVER_START sent twice",
    story=Story(
        mechanism="""Each such command starts a load thread for every device. Two of them on one device
        take turns at its buffers, and both want its config.""",
        happened="Case K20 of the wire table: both versions abort on an assertion.",
        fix="None known. Refuse the second one.",
        versions="10.0 and 11.1",
        evidence="seen on real binaries",
    ),
    changed="one guard: the second command is not refused",
    breaks="one-loader-a-device",
    broken=Setup(SCENARIO, Parts(handoff=StartsAgain), TRAFFIC, watch=no_assertion, name="K20 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, watch=no_assertion, name="K20 correct"),
    instead="the second command is refused and the migration fails",
    hunt=Hunt(length=80),
)
