"""B6: cleanup believes a wake-up that nobody sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import QemuCore, QemuLoadReady
from migemu.lab.explore import SPURIOUS_WAKEUP, Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CANCEL
from migemu.lab.system_parts import Parts

if TYPE_CHECKING:
    from migemu.handoff.base import Slot


class WaitsOnce(QemuLoadReady):
    """Cleanup waits if the load thread runs, not while it does."""

    def await_loader(self, slot: Slot) -> None:
        """One wake-up is as good as another."""
        with slot.buffers.mutex:
            if slot.name in self._running:
                self._finished[slot.name].wait()


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")

BUG = Bug(
    name="B6",
    title="a spurious wake-up frees the mutex under a live thread",
    story=Story(
        mechanism="""Cleanup tested "running" with an if, waited once, and freed the mutex. A condition
        may return although nobody notified it; then the mutex is freed while the load thread still uses
        it. The loader's own waits had the like.""",
        happened="Version 3; reported by Avihai Horon.",
        fix="Loops over the predicate, version 4 (30 January 2025).",
        versions="none released",
        links=("cover.1738171076 (version 4)",),
    ),
    changed="one guard: `if` instead of `while` around the wait for the load thread",
    breaks="lifetime",
    broken=Setup(SCENARIO, Parts(handoff=WaitsOnce, core=QemuCore), name="B6 broken"),
    correct=Setup(SCENARIO, Parts(handoff=QemuLoadReady, core=QemuCore), name="B6 correct"),
    instead="the loop: a wake-up that nobody sent changes nothing",
    hunt=Hunt(
        schedules=20_000, seconds=60, rules=Rules(faults=frozenset({CANCEL, SPURIOUS_WAKEUP}), fault_budget=2)
    ),
)
