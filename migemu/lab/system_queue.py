"""The main channel's queue, filled a burst at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.threads.sync import Queue

if TYPE_CHECKING:
    from collections.abc import Iterable


class BurstQueue(Queue[Any]):
    """Takes what one read of the socket brought at once: the incoming thread looks before or after it."""

    @classmethod
    def of(cls, queue: Queue[Any]) -> BurstQueue:
        """`queue` itself, which from now on takes bursts."""
        queue.__class__ = cls
        assert isinstance(queue, cls)  # noqa: S101  for the type checker
        return queue

    def put_burst(self, records: Iterable[Any]) -> None:
        """Queue `records`."""
        with self._lock:
            self.lay(records)
            self._filled.notify()

    def lay(self, records: Iterable[Any]) -> None:
        """Queue `records` before anybody looks; the lock is held, or nobody else is there yet."""
        self._items.extend(records)
