"""K19: SWITCHOVER_START is left out."""

from __future__ import annotations

from migemu.handoff.load_ready import LoadReady
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts


class NeverAsks(LoadReady):
    """Does not look at EOF whether loading has ever begun."""

    def check_started(self) -> None:
        """Nothing is checked."""


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")
TRAFFIC = Setup(SCENARIO).sent.without("SWITCHOVER_START")

BUG = Bug(
    name="K19",
    title="SWITCHOVER_START left out: completed with an empty device",
    story=Story(
        mechanism="""The command starts the load threads. Without it none is there, so at the end of the
        stream none has to be waited for: the packets stay queued and the migration completes.""",
        happened="Case K19 of the wire table: completed, the device got 0 bytes, no error.",
        fix="None known. One look at the end of the stream is enough.",
        versions="10.0 and 11.1",
        evidence="seen on real binaries",
    ),
    changed="one guard: the end of the stream does not ask whether loading has begun",
    breaks="start-after-all",
    broken=Setup(SCENARIO, Parts(handoff=NeverAsks), TRAFFIC, name="K19 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, name="K19 correct"),
    instead="the stream is refused: it ended without SWITCHOVER_START",
    hunt=Hunt(length=60),
)
