"""A queue that never blocks its producer and tells it when to pause."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.abort import Abort, Patience
    from migemu.threads.api import Threads

T = TypeVar("T")


class Queue(Generic[T]):
    """A FIFO between the loop that owns a socket and the thread that acts on what it carried.

    `put` never blocks (the loop must not); it returns whether the queue is now over its soft limit,
    and the owner of the socket then pauses reading until `on_room` is called.

    Args:
        threads: the concurrency seam.
        abort: ends the waits.
        name: what is waited for, for people.
        limit: items from which the queue is full.
        weigh: bytes of an item.
        limit_bytes: bytes from which the queue is full.
    """

    def __init__(
        self,
        threads: Threads,
        abort: Abort,
        name: str,
        *,
        limit: int,
        weigh: Callable[[T], int] = lambda _: 0,
        limit_bytes: float = float("inf"),
    ) -> None:
        self._lock = threads.lock(f"{name} lock")
        self._filled = threads.condition(self._lock, f"{name} filled")
        self._items: deque[T] = deque()
        self._name = name
        self._limit = limit
        self._weigh = weigh
        self._limit_bytes = limit_bytes
        self.bytes = 0
        """Bytes of the items that wait."""
        self._abort = abort
        self._full = False
        self.on_room: Callable[[], None] = lambda: None
        abort.watch(self._lock, self._filled)

    def put(self, item: T) -> bool:
        """Add an item; True when the producer should pause."""
        with self._lock:
            self._items.append(item)
            self.bytes += self._weigh(item)
            self._filled.notify()
            self._full = len(self._items) >= self._limit or self.bytes >= self._limit_bytes
            return self._full

    def poll(self) -> T | None:
        """Take the next item if there is one."""
        with self._lock:
            item = self._take() if self._items else None
            room = self._made_room()
        if room:
            self.on_room()
        return item

    def get(self, patience: Patience) -> T:
        """Take the next item, waiting for it."""
        with self._lock:
            self._abort.wait_for(self._filled, lambda: bool(self._items), patience, self._name)
            item = self._take()
            room = self._made_room()
        if room:
            self.on_room()
        return item

    def _take(self) -> T:
        item = self._items.popleft()
        self.bytes -= self._weigh(item)
        return item

    def _made_room(self) -> bool:
        """Whether the producer was told to pause and may now go on (hysteresis: half the limit)."""
        if not self._full or len(self._items) > self._limit // 2 or self.bytes > self._limit_bytes / 2:
            return False
        self._full = False
        return True
