"""D1: a channel fails while the main thread waits for the load threads."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import AwaitsEveryLoader, RecordingCore
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CHANNEL_FAILS
from migemu.lab.system_parts import Parts
from migemu.vfio.reassembly import StateBuffers


class NeverHopeless(StateBuffers):
    """A load thread does not learn that no channel is left to bring what it waits for."""

    def channels_ended(self, why: str = "") -> None:
        """Nobody is told."""


SCENARIO = stock(
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=1",
    "device.0.state_size=64",
    "migration.channels=1",
)
QEMU = Parts(handoff=AwaitsEveryLoader, core=RecordingCore, buffers=NeverHopeless)
RULES = Rules(faults=frozenset({CHANNEL_FAILS}))

BUG = Bug(
    name="D1",
    title="a channel fails after EOF and nobody wakes the load threads",
    story=Story(
        mechanism="""A multifd channel is reset, or closes, when the main stream has ended and the main
        thread waits for the load pool. The receive threads end and the error is recorded, but nobody
        wakes the load threads: they sleep for buffers that cannot come, and the wait for the pool has no
        time limit. The main loop, and QMP with it, is blocked as well.""",
        happened="""A hypothesis from reading 10.2.2, never reported. Cases K6, K7, K13 and K25 of the
        wire table hang on real 10.0 and 11.1 in the same place.""",
        fix="""What would mend it: whoever records the error also sets want-exit in every device under its
        mutex and signals, or the wait for the pool looks for errors. Here the first error wakes
        everybody.""",
        versions="10.0 to 10.2.2 by reading",
        evidence="""a hypothesis: derived from the source, the hang modelled here, the relatives seen on
        binaries""",
    ),
    changed="one wake-up: an error is recorded and nobody is told, as QEMU 10.2 does",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, QEMU, name="D1 broken"),
    correct=Setup(SCENARIO, name="D1 correct"),
    instead="the abort of this destination: one error wakes every wait of its side, and the migration fails",
    hunt=Hunt(rules=RULES),
    hypothesis=True,
)
