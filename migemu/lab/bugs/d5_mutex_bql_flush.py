"""D5: load_bufs_mutex, the BQL and a FLUSH in a ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.load_thread import LoadThread
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import load_config_keeping_mutex
from migemu.lab.bugs.traffic import A
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.lab.system_stream import eof, flush, switchover_start
from migemu.lab.system_traffic import config, data, sync

if TYPE_CHECKING:
    from migemu.handoff.base import Slot


class KeepsMutex(LoadThread):
    """The load thread keeps load_bufs_mutex while it waits for the BQL and holds it, as QEMU's does."""

    def load(self, slot: Slot) -> None:
        """Data in order, then the config: mutex first, BQL inside it."""
        self.load_data(slot)
        load_config_keeping_mutex(self, slot)


SCENARIO = stock(
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=1",
    "device.0.state_size=64",
    "ram.size=4 KiB",
)
TRAFFIC = Setup(SCENARIO).sent.on([data(A, 0), config(A, 1), sync()], [data(A, 0), sync()])
TRAFFIC = TRAFFIC.saying(switchover_start(), flush(), eof())

BUG = Bug(
    name="D5",
    title="mutex, BQL and FLUSH in a ring, closed by a stray packet",
    story=Story(
        mechanism="""The load thread keeps load_bufs_mutex while it waits for the BQL and loads the
        config. The main thread is at a FLUSH and keeps the BQL while it waits for every channel's SYNC. A
        stray packet for that device stands in front of one channel's SYNC: its receive thread waits for
        the mutex. Three wait in a ring.""",
        happened="A hypothesis from reading 10.2.2.",
        fix="""What would mend it: drop the mutex before taking the BQL (the config has been taken out by
        then), or drop the BQL at a FLUSH.""",
        versions="10.0 to 10.2.2 by reading",
        evidence="a hypothesis: derived from the source, modelled here",
    ),
    changed="one lock: the load thread keeps the mutex while it waits for the BQL, as in QEMU 10.2",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, Parts(handoff=KeepsMutex), TRAFFIC, name="D5 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, name="D5 correct"),
    instead="""load-thread as it is: the two are never held together, the stray packet is refused as a
    duplicate""",
    hunt=Hunt(schedules=10_000, seconds=60),
    hypothesis=True,
)
