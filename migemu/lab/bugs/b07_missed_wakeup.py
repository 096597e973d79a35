"""B7: load_finish misses the broadcast and is never polled again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.load_finish import LoadFinish
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts

if TYPE_CHECKING:
    from migemu.handoff.base import Slot

BROADCAST = "load_finish_ready_broadcast"


class FlagAfterBroadcast(LoadFinish):
    """Tells the core to ask again, and only then says that the device is finished."""

    def finished(self, slot: Slot) -> None:
        """Broadcast under the lock, the flag behind it and outside."""
        config = self.take_config(slot)
        with self._ready_lock:
            self._ready.notify_all()
        self.machine.threads.point(BROADCAST, device=slot.name)
        self._finished[slot.name] = config


SCENARIO = stock("handoff=load-finish", "devices=1", "device.0.state_size=64", "migration.channels=1")

BUG = Bug(
    name="B7",
    title="load_finish misses its wake-up",
    story=Story(
        mechanism="""The core polls load_finish of every device, sleeps, and polls again only after a
        broadcast made under the ready lock. A flag that is set outside that lock may be set when the core
        has already asked and the broadcast has already gone: nobody asks again.""",
        happened="One of Peter Xu's three objections to the API (27 September 2024).",
        fix="The API was dropped in version 3. With it: flag and broadcast together under the lock.",
        versions="none released",
        links=("ZvYCGFnI_68B_w3h@x1n", "cover.1724701542, 08/17 (version 2)"),
    ),
    changed="one order: the flag is set after the broadcast and outside the ready lock",
    breaks="lost-wakeup",
    broken=Setup(SCENARIO, Parts(handoff=FlagAfterBroadcast), name="B7 broken"),
    correct=Setup(SCENARIO, name="B7 correct"),
    instead="load-finish as it is: flag and broadcast in one hold of the ready lock",
    hunt=Hunt(rules=Rules(points=frozenset({BROADCAST}))),
)
