"""B4: load_bufs_mutex and BQL taken in two orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import QemuCore, QemuLoadReady
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CANCEL
from migemu.lab.system_parts import Parts

if TYPE_CHECKING:
    from migemu.handoff.base import Slot


class CleanupKeepsBql(QemuLoadReady):
    """A device's cleanup wants the mutex with the BQL held."""

    def clean_up(self, slot: Slot) -> None:
        """Without dropping the BQL."""
        self.want_exit(slot)
        self.await_loader(slot)
        self._freed.add(slot.name)


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")
ORDER = frozenset({"lock-order"})

BUG = Bug(
    name="B4",
    title="load_bufs_mutex and BQL in two orders",
    story=Story(
        mechanism="""The load thread holds load_bufs_mutex and takes the BQL inside it for the config.
        Whoever holds the BQL and then wants the mutex closes the ring: the switchover-start handler, the
        config-ready handler, cleanup, a receive callback under the BQL.""",
        happened="Between versions 2 and 3 of the series; the handlers' unlock and lock dance is its trace.",
        fix="""The order is mutex, then BQL, everywhere: those handlers drop the BQL first, and the
        receive callback asserts that it is not held.""",
        versions="none released",
        links=("cover.1731773021 (version 3)",),
        evidence="read in the source and on the list",
    ),
    changed="one lock: cleanup keeps the BQL while it wants a device's mutex",
    breaks="deadlock",
    broken=Setup(SCENARIO, Parts(handoff=CleanupKeepsBql, core=QemuCore), ignored=ORDER, name="B4 broken"),
    correct=Setup(SCENARIO, Parts(handoff=QemuLoadReady, core=QemuCore), ignored=ORDER, name="B4 correct"),
    instead="""QEMU's cleanup with the BQL dropped. Production has no such order to get wrong: no design
    holds the two together, and the invariant lock-order, not looked at here, would see the wrong order in
    any schedule.""",
    hunt=Hunt(schedules=20_000, seconds=60, rules=Rules(faults=frozenset({CANCEL}))),
)
