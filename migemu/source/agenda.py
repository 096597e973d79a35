"""What a slower link does with time: when bytes have been taken, and calls at their time on the loop."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any

from migemu.link.pacing import Pacer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from migemu.scenario import Link
    from migemu.threads.api import Lock, Threads

TICK = 0.001
"""Seconds; the loop's timers are no finer, and a shorter wait would only spin."""


class Agenda:
    """Calls at their time, on the loop; those of one time, or already due, in the order they were made."""

    def __init__(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._threads = threads
        self._loop = loop
        self._calls: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._armed = False

    def at(self, time: float, call: Callable[..., None], *args: Any) -> None:
        """Call it at `time`, or now if that has come."""
        if not self._calls and time <= self._threads.now():
            call(*args)
            return
        heapq.heappush(self._calls, (time, next(self._numbers), call, args))
        self._arm()

    def _arm(self) -> None:
        if self._calls and not self._armed:
            self._armed = True
            self._loop.call_later(max(TICK, self._calls[0][0] - self._threads.now()), self._run)

    def _run(self) -> None:
        self._armed = False
        now = self._threads.now()
        while self._calls and self._calls[0][0] <= now:
            _, _, call, args = heapq.heappop(self._calls)
            call(*args)
        self._arm()

    def left(self) -> float | None:
        """Seconds until the last call; None when there is none."""
        return max(call[0] for call in self._calls) - self._threads.now() if self._calls else None


class Budget:
    """The link's pacer, shared by threads."""

    def __init__(self, link: Link, threads: Threads) -> None:
        self.delay = link.delay
        self._threads = threads
        self._lock: Lock = threads.lock("link budget")
        self._pacer = Pacer(link.rate)

    def book(self, size: int) -> float:
        """When the link has taken `size` bytes more; not before now."""
        with self._lock:
            return self._pacer.slot(self._threads.now(), size).sent

    def due(self, time: float) -> bool:
        """Whether `time` has come."""
        return time <= self._threads.now()
