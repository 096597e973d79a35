"""`post-load-jobs`: load threads queue a job; the migration thread runs the queue at the end.

Offered by Peter Xu on 30 Sep 2024 (ZvsesAPD6G4Ef9m0@x1n) in the place of load_finish: a way to queue jobs
that have to run after all vmstate is loaded, a semaphore of the migration's that is posted for each, and a
count of registered jobs, so that the migration thread knows when not to go on.

How it works. At setup every device registers one job. Its load thread writes the data and then queues "load
my config". When the stream is in, the incoming thread takes as many jobs as were registered, in the order
in which they were queued, and runs each under the BQL. It drops the BQL while it waits for the next job (the
message leaves that open; the wait is the core's own, and the core drops it in the pool wait of v3).

For it: generic, and the order of readiness is kept without any handler being polled.
Against it: machinery for one user; and no config starts before all other vmstate is in.
Fate: Maciej S. Szmigiero agreed on 1 Oct (927023c9-c8ba-4cdf-9d42-bf1109a139af@maciej.szmigiero.name);
superseded the same day by something simpler, `incoming-complete`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design, Loader
from migemu.threads.sync import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.base import Machine, Slot

UNBOUNDED = 1 << 30
"""Jobs; each was registered, so there are never more than devices."""


class PostLoadJobs(Handoff):
    """Load threads take the data; the incoming thread runs what they queue, after everything else."""

    design = Design(
        name="post-load-jobs",
        summary="load threads queue config loads; the incoming thread runs them in order of readiness",
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="ZvsesAPD6G4Ef9m0@x1n, 30 Sep 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._registered = 0
        self._jobs: Queue[Callable[[], None]] = Queue(
            machine.threads, machine.abort, "post-load jobs", limit=UNBOUNDED
        )

    def load_setup(self) -> None:
        """Each device registers its one job."""
        super().load_setup()
        self._registered = len(self.machine.slots)

    def load(self, slot: Slot) -> None:
        """Data in order; then queue the job and post."""
        self.load_data(slot)
        config = self.take_config(slot)
        self._jobs.put(lambda: self.load_config(slot, config))

    def stream_end(self) -> None:
        """Run the jobs until as many are done as were registered."""
        self.check_started()
        for _ in range(self._registered):
            job = self._next_job()
            job()

    def _next_job(self) -> Callable[[], None]:
        with self.naming_the_late(), self.machine.without_bql():
            return self._jobs.get(self.machine.patience)
