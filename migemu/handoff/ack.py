"""`ack`: a counter and one semaphore. Each device acknowledges once everything, config included, is in.

Asked by Peter Xu in his first answer to load_finish (9 Sep 2024, Zt9UjvvbeUZQlGNY@x1n): cannot the final
load be done in the threads, and VFIO register a load_complete_ack as it registers the switchover ack, so
that the device posts a semaphore when all things are loaded?

How it works. At setup the core counts the devices that will acknowledge. Each device's thread loads data
and config, taking the BQL for the config itself, and then takes itself off the count; the last one posts.
The incoming thread waits for that one semaphore at the stream's end, with the BQL dropped, since the threads
need it. What the core waits for is the acknowledgement, not the thread: who acknowledged may still tidy up.

For it: no polling, no mutex of the core's, nothing a handler could misread.
Against it: config load called address-space code that "explodes" outside the main thread (Maciej S.
Szmigiero, d245c8b6-b765-42e1-a5ec-bdb46494cec4@maciej.szmigiero.name), so in 2024 the acknowledgement would
have had to be a blocking call per device, which is `blocking-wait`; and config may come before the interrupt
controller (B2).
Fate: not done as such. Its first half, config loaded in the thread that loaded the data, came back in v3 as
`load-thread`, with the pool's end in the place of the counter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design
from migemu.handoff.semaphore import Semaphore

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot


class Ack(Handoff):
    """Load threads take data and config; the incoming thread waits for one semaphore."""

    design = Design(
        name="ack",
        summary="load threads take data and config; the last one to acknowledge posts one semaphore",
        proposed_in="Zt9UjvvbeUZQlGNY@x1n, 9 Sep 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._pending_lock = machine.threads.lock("load_complete_ack")
        self._pending = 0
        self._complete = Semaphore(machine.threads, machine.abort, machine.patience, "load complete")

    def load_setup(self) -> None:
        """Every device says that it will acknowledge."""
        super().load_setup()
        self._pending = len(self.machine.slots)
        if not self._pending:
            self._complete.post()

    def load(self, slot: Slot) -> None:
        """Data in order, the config under the BQL, then the acknowledgement."""
        self.load_data(slot)
        self.load_config_packet(slot)
        self.load_complete_ack(slot)

    def load_complete_ack(self, slot: Slot) -> None:
        """All of `slot` is in; the last device lets the incoming thread go on."""
        self.machine.threads.point("load_complete_ack", device=slot.name)
        with self._pending_lock:
            self._pending -= 1
            last = not self._pending
        if last:
            self._complete.post()

    def stream_end(self) -> None:
        """Wait for the last acknowledgement, and for nothing else."""
        self.check_started()
        with self.naming_the_late(), self.machine.without_bql():
            self._complete.wait("the last acknowledgement")
