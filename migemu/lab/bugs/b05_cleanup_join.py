"""B5: cleanup waits for threads that nobody has asked to leave."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import QemuCore, QemuLoadReady
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CANCEL
from migemu.lab.system_parts import Parts


class PoolFirst(QemuCore):
    """Frees the pool before the devices are cleaned up."""

    def clean_up_devices_and_pool(self, seconds: float) -> None:
        """In the wrong order."""
        with self.machine.without_bql():
            self.pool.join(seconds)
        self.handoff.cleanup()


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")

BUG = Bug(
    name="B5",
    title="cleanup joins before it has asked anybody to leave",
    story=Story(
        mechanism="""Cleanup must set want-exit under the mutex, signal every condition the loader may
        sleep on, wait with the BQL dropped, and only then free the pool. The core's abort flag alone
        wakes nobody, so a pool that is freed before the devices are cleaned up waits for ever; so does a
        cleanup that forgets one of the two conditions.""",
        happened="Grew through versions 3 to 5 of the series.",
        fix="That order; the second condition, the wait for the config mark, is signalled too since 10.1.",
        versions="none released with it",
        links=("b1937fd1eb83 (load-thread pool)",),
        evidence="read in the source and on the list",
    ),
    changed="one order: the pool is waited for before the devices' cleanup asks its threads to leave",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, Parts(handoff=QemuLoadReady, core=PoolFirst), name="B5 broken"),
    correct=Setup(SCENARIO, Parts(handoff=QemuLoadReady, core=QemuCore), name="B5 correct"),
    instead="""QEMU's cleanup in its order. Production aborts first, which wakes every condition of every
    device""",
    hunt=Hunt(rules=Rules(faults=frozenset({CANCEL}))),
)
