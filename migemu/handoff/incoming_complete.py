"""`incoming-complete`: one notifier after everything else.

Peter Xu, 1 Oct 2024 (ZvxqE0i5qGGiSFk0@x1n), simpler still than queued jobs: add an event
PRECOPY_NOTIFY_INCOMING_COMPLETE to the precopy notifiers and invoke it when all vmstate is loaded. VFIO
registers for it and does whatever it wants there, in the main loader thread with the BQL held; the semaphore
posts and waits hide in VFIO, and no vmstate handler changes. Maciej S. Szmigiero, 2 Oct
(cba181bd-0961-4ea8-962b-2f6bbf09d94a@maciej.szmigiero.name): one handler for all VFIO devices, which takes
care of their order.

How it works. Load threads write the data and post. When the stream is in, non-iterables included, the core
calls the notifiers; VFIO's one waits for its own posts and loads the configs in order of readiness. The BQL
is held throughout, as the proposal says, also while it waits: the load threads do not need it.

For it: the core learns one event and nothing of threads, semaphores or readiness.
Against it: it runs only after everything else, and the main loop stands still until the last device is in.
Fate: agreed on 2 Oct, superseded by `load-thread` when Peter accepted dedicated threads
(Zv8J1uAWIxzCgErh@x1n).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design, Loader
from migemu.threads.sync import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.base import Config, Machine, Slot

INCOMING_COMPLETE = "incoming-complete"
"""PRECOPY_NOTIFY_INCOMING_COMPLETE: all vmstate is loaded."""
UNBOUNDED = 1 << 30
"""Posts; there are never more than devices."""


class IncomingComplete(Handoff):
    """Load threads take the data; VFIO's one notifier loads the configs, the BQL never dropped."""

    design = Design(
        name="incoming-complete",
        summary="one notifier after all vmstate: the incoming thread waits and loads configs under the BQL",
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="ZvxqE0i5qGGiSFk0@x1n, 1 Oct 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._notifiers: list[Callable[[str], None]] = [self._vfio_notify]
        self._data_in: Queue[tuple[Slot, Config]] = Queue(
            machine.threads, machine.abort, "the data", limit=UNBOUNDED
        )

    def load(self, slot: Slot) -> None:
        """Data in order; then the post, private to VFIO."""
        self.load_data(slot)
        self._data_in.put((slot, self.take_config(slot)))

    def stream_end(self) -> None:
        """All vmstate is in: tell whoever registered."""
        self.check_started()
        self.precopy_notify(INCOMING_COMPLETE)

    def precopy_notify(self, reason: str) -> None:
        """Call the notifiers, one after the other (QEMU: precopy_notify)."""
        self.machine.threads.point("precopy_notify", reason=reason)
        for notifier in self._notifiers:
            notifier(reason)

    def _vfio_notify(self, reason: str) -> None:
        """What VFIO registered, one for all its devices."""
        if reason != INCOMING_COMPLETE:
            return
        for _ in self.machine.slots:
            slot, config = self._wait_for_any()
            self.load_config(slot, config)

    def _wait_for_any(self) -> tuple[Slot, Config]:
        """Whichever device posts next, the BQL kept."""
        with self.naming_the_late():
            return self._data_in.get(self.machine.patience)
