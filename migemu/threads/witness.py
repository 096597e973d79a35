"""Who takes a lock while holding another: the witness of the invariant `lock-order`.

The house rule is load_bufs_mutex before BQL, everywhere (B4 of the bug catalogue). A deadlock by the wrong
order needs two threads to meet in a window of microseconds; the wrong order itself is visible every time, so
it is the order that is watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from migemu.threads.api import Condition, Lock, Threads


class WitnessedLock:
    """A lock that must not be taken by a thread that holds `forbidden`."""

    __slots__ = ("_check", "inner")

    def __init__(self, inner: Lock, check: Callable[[str], None]) -> None:
        self.inner = inner
        self._check = check

    @property
    def name(self) -> str:
        """What people call it."""
        return self.inner.name

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock, after the witness has looked."""
        self._check(self.inner.name)
        return self.inner.acquire(timeout)

    def release(self) -> None:
        """Give the lock back."""
        self.inner.release()

    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self.inner.held()

    def __enter__(self) -> Self:
        self._check(self.inner.name)
        self.inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.inner.release()


class WitnessedThreads:
    """The seam, with every lock made through it watched against one that must come after it.

    Args:
        threads: the real seam.
        later: the lock that comes last in the order (the BQL).
    """

    def __init__(self, threads: Threads, later: Lock) -> None:
        self._threads = threads
        self._later = later
        self.violations = 0
        # What is only passed on costs no call of its own.
        self.spawn, self.current = threads.spawn, threads.current
        self.now, self.sleep, self.point = threads.now, threads.sleep, threads.point

    def lock(self, name: str) -> Lock:
        """A new, watched lock."""
        return WitnessedLock(self._threads.lock(name), self._look)

    def condition(self, lock: Lock, name: str) -> Condition:
        """A new condition over a lock made here."""
        inner = lock.inner if isinstance(lock, WitnessedLock) else lock
        return self._threads.condition(inner, name)

    def _look(self, name: str) -> None:
        if self._later.held():
            self.violations += 1
            detail = f"{self.current()} took {name} with the {self._later.name} held"
            self._threads.point("invariant", name="lock-order", ok=False, detail=detail)
