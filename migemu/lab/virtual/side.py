"""One side's view of threads that both sides share: its own event log, the same clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.observe.events import EventLog
    from migemu.threads.api import Condition, Lock, Thread, Threads


class SideThreads:
    """The seam for one side of a virtual run.

    Args:
        threads: what both sides run on.
        log: where this side's events go.
        lock: makes a lock, where locks cost something; None for the threads' own.
    """

    def __init__(self, threads: Threads, log: EventLog, lock: Callable[[str], Lock] | None = None) -> None:
        self._sink = log.sink
        self.lock: Callable[[str], Lock] = lock or threads.lock
        self.condition: Callable[[Lock, str], Condition] = threads.condition
        self.spawn: Callable[[str, Callable[[], None]], Thread] = threads.spawn
        self.current: Callable[[], str] = threads.current
        self.now: Callable[[], float] = threads.now
        self.sleep: Callable[[float], None] = threads.sleep

    def point(self, event: str, /, **fields: object) -> None:
        """Record `event` in this side's log."""
        self._sink(event, self.now(), self.current(), fields)
