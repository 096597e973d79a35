"""Timers of a virtual clock: a heap whose entries go stale when their thread is woken otherwise."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migemu.threads.controlled_task import Task


class Timers:
    """The running timers; a thread has at most one, and drops it by setting its ticket to 0."""

    __slots__ = ("_heap", "_made")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Task]] = []
        self._made = 0

    def clear(self) -> None:
        """Forget all of them."""
        self._heap.clear()
        self._made = 0

    def arm(self, task: Task, due: float) -> None:
        """Have `task` expire at the virtual time `due`, in seconds."""
        self._made += 1
        task.ticket = self._made
        heappush(self._heap, (due, self._made, task))

    def dues(self) -> dict[Task, float]:
        """Who expires when."""
        return {task: due for due, ticket, task in self._heap if task.ticket == ticket}

    def next_due(self) -> float | None:
        """The earliest time at which something expires; None when nothing ever does."""
        heap = self._heap
        while heap and heap[0][2].ticket != heap[0][1]:
            heappop(heap)
        return heap[0][0] if heap else None

    def expire(self, now: float) -> list[Task]:
        """Take the threads whose timers are due by `now`, in the order of their times."""
        heap = self._heap
        expired = []
        while heap and heap[0][0] <= now:
            _, ticket, task = heappop(heap)
            if task.ticket == ticket:
                task.ticket = 0
                task.timed_out = True
                expired.append(task)
        return expired
