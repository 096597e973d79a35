"""B17: receive threads use what the load cleanup has freed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from migemu.destination.core import Core
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.traffic import page
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_actors import Session
from migemu.lab.system_faults import CANCEL
from migemu.lab.system_parts import Parts
from migemu.lab.system_stream import eof, switchover_start
from migemu.lab.system_traffic import Traffic

if TYPE_CHECKING:
    from migemu.wire.multifd import RamPacket


class CleanupFirst(Session):
    """The incoming state is destroyed before the connections are closed."""

    def run(self) -> None:
        """In the wrong order."""
        self._await_end()
        self._core.cleanup(math.inf)
        self._end_connections()


class ReceiveBitmap(Core):
    """Keeps a bitmap of the pages that came, as a QEMU that may have to recover does; cleanup frees it."""

    freed = False

    def _ram_packet(self, channel: int, packet: RamPacket) -> None:
        if self.freed:
            detail = f"channel {channel} marks a page in the receive bitmap, which is freed"
            self.threads.point("invariant", name="lifetime", ok=False, detail=detail)
        super()._ram_packet(channel, packet)

    def cleanup(self, seconds: float) -> bool:
        """Free the bitmap with the rest."""
        joined = super().cleanup(seconds)
        self.freed = True
        return joined


SCENARIO = stock("devices=0", "ram.size=8 KiB", "migration.channels=1")
TRAFFIC = Traffic(channels=((page(0, 1), page(1, 2)),), main=(switchover_start(), eof()))
QEMU = Parts(core=ReceiveBitmap)

BUG = Bug(
    name="B17",
    title="receive threads outlive what they use",
    story=Story(
        mechanism="""The receive bitmap was freed in the load cleanup while receive threads were still
        running: a page that came late was marked in freed memory.""",
        happened="Crashes of destinations at the end of failed migrations.",
        fix="Join the receive threads first, then clean up; still the order today.",
        versions="fixed September 2024, in stable releases",
        links=("4ce562290878",),
    ),
    changed="one order: cleanup before the channels are closed and their receivers have ended",
    breaks="lifetime",
    broken=Setup(SCENARIO, QEMU, TRAFFIC, session=CleanupFirst, name="B17 broken"),
    correct=Setup(SCENARIO, QEMU, TRAFFIC, name="B17 correct"),
    instead="the session's order: connections closed, receivers ended, then cleanup",
    hunt=Hunt(rules=Rules(faults=frozenset({CANCEL}))),
)
