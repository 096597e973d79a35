"""B12: an error of a receive thread that nobody looks at any more."""

from __future__ import annotations

from migemu.destination.finish import Finish
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.qemu_like import AwaitsEveryLoader, RecordingCore
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.lab.system_traffic import ends


class OnlyItsOwnErrors(AwaitsEveryLoader):
    """Waits for the load threads and does not look for anybody else's error."""

    def stream_end(self) -> None:
        """Until the last load thread has ended, and that is all."""
        self.await_loaders()


class StartsAnyway(Finish):
    """Starts the VM without a last look."""

    def _start(self) -> None:
        core = self._core
        for slot in core.machine.slots.values():
            slot.device.start()
        self.running = True
        core.threads.point("vm_state", running=True, runnable=True)


SCENARIO = stock(
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=1",
    "device.0.state_size=64",
)
SENT = Setup(SCENARIO).sent
TRAFFIC = SENT.on(*([*row, ends("reset by peer")] for row in SENT.channels[:1]), *SENT.channels[1:])

BROKEN = Parts(handoff=OnlyItsOwnErrors, finish=StartsAnyway, core=RecordingCore)

BUG = Bug(
    name="B12",
    title="a late error is ignored",
    story=Story(
        mechanism="""After loading only the main stream's error was looked at. An error that a receive
        thread had set was lost: a page missing, and the migration completed.""",
        happened="""Upstream, long there. The relative that exploring this program found in it: between
        the last look and the start of the VM a failing channel made the migration fail and succeed at
        once.""",
        fix="""Look at the migration's error after loadvm. Here also: success and failure are settled in
        one step, whichever comes first.""",
        versions="fixed in 10.0 (February 2025); 7.2 completes with the error lost (wire table, row H)",
        links=("Check migration error after loadvm (Fabiano Rosas, February 2025)",),
    ),
    changed="one guard: neither the wait for the load threads nor the start of the VM looks for an error",
    breaks="one-vm-runs",
    broken=Setup(SCENARIO, BROKEN, TRAFFIC, name="B12 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, name="B12 correct"),
    instead="the last look, and Abort.settle(): the VM runs, or the migration has failed, never both",
    hunt=Hunt(schedules=5000),
)
