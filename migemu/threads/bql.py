"""The big QEMU lock."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from migemu.threads.api import Lock, Threads


class Bql:
    """The big QEMU lock, and an account of who held it for how long.

    The incoming thread plays QEMU's main thread: it holds the lock while it acts and drops it where
    QEMU's coroutine would yield, that is when the main channel has no bytes.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._lock = threads.lock("BQL")
        self._since = 0.0
        self.held_seconds: dict[str, float] = {}
        self.waited_seconds: dict[str, float] = {}

    @property
    def lock(self) -> Lock:
        """The lock itself, for conditions over it."""
        return self._lock

    def acquire(self) -> None:
        """Take the lock and start the holder's account."""
        asked = self._threads.now()
        self._lock.acquire()
        self._since = self._threads.now()
        self._add(self.waited_seconds, self._since - asked)

    def release(self) -> None:
        """Give the lock back and close the holder's account."""
        ended = self._threads.now()
        seconds = ended - self._since
        holder = self._add(self.held_seconds, seconds)
        self._lock.release()
        if seconds >= 0.001:  # whoever gets the lock may run first: say how long ago it was
            ago = self._threads.now() - ended
            self._threads.point("bql_held", holder=holder, seconds=seconds, ago=ago)

    def _add(self, account: dict[str, float], seconds: float) -> str:
        holder = self._threads.current()
        account[holder] = account.get(holder, 0.0) + seconds
        return holder

    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self._lock.held()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Drop the lock around a wait (QEMU: bql_unlock … bql_lock)."""
        self.release()
        try:
            yield
        finally:
            self.acquire()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.release()
