"""The seam on real threads and the real clock."""

from __future__ import annotations

import threading
import time
from threading import get_ident
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from migemu.threads.api import Lock


class NativeLock:
    """A ``threading.Lock`` that knows its holder."""

    __slots__ = ("_give", "_owner", "_take", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        lock = threading.Lock()
        self._take = lock.acquire
        self._give = lock.release
        self._owner: int | None = None

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; False when `timeout` seconds passed without getting it."""
        taken = self._take() if timeout is None else self._take(timeout=max(timeout, 0))
        if taken:
            self._owner = get_ident()
        return taken

    def release(self) -> None:
        """Give the lock back."""
        self._owner = None
        self._give()

    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self._owner == get_ident()

    _is_owned = held  # what threading.Condition asks of a lock

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.release()


class NativeCondition:
    """A ``threading.Condition`` over a :class:`NativeLock`."""

    __slots__ = ("_condition", "name")

    def __init__(self, lock: NativeLock, name: str) -> None:
        self.name = name
        self._condition = threading.Condition(lock)  # type: ignore[arg-type]  # it only acquires and releases

    def wait(self, timeout: float | None = None) -> bool:
        """Release, sleep until notified, take again; False when `timeout` passed."""
        return self._condition.wait(timeout)

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters."""
        self._condition.notify(n)

    def notify_all(self) -> None:
        """Wake every waiter."""
        self._condition.notify_all()


class NativeThread:
    """A started daemon thread: it never outlives its process."""

    __slots__ = ("_thread", "name")

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        self.name = name
        self._thread = threading.Thread(target=target, name=name, daemon=True)
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when `timeout` passed first."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()


class _Names(threading.local):
    """The calling thread's name, looked up once in each thread: points are passed very often."""

    def __init__(self) -> None:
        self.mine = threading.current_thread().name


class NativeThreads:
    """Real threads, the monotonic clock, and an event sink.

    Args:
        sink: called as ``sink(event, time, thread, fields)`` at every point; must be thread safe.
        gate: called with ``(event, fields)`` after the sink; may block the calling thread (replay).
    """

    def __init__(
        self,
        sink: Callable[[str, float, str, dict[str, object]], None] | None = None,
        gate: Callable[[str, dict[str, object]], None] | None = None,
    ) -> None:
        self._sink = sink
        self._gate = gate
        self._names = _Names()

    def lock(self, name: str) -> NativeLock:
        """A new lock."""
        return NativeLock(name)

    def condition(self, lock: Lock, name: str) -> NativeCondition:
        """A new condition over `lock`."""
        if not isinstance(lock, NativeLock):
            raise TypeError(f"condition {name}: the lock {lock.name} is of another implementation")
        return NativeCondition(lock, name)

    def spawn(self, name: str, target: Callable[[], None]) -> NativeThread:
        """Start a thread."""
        return NativeThread(name, target)

    def current(self) -> str:
        """The calling thread's name."""
        return threading.current_thread().name

    def now(self) -> float:
        """CLOCK_MONOTONIC in seconds: one clock for all processes of a machine."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep; a negative or zero time returns at once."""
        if seconds > 0:
            time.sleep(seconds)

    def point(self, event: str, /, **fields: object) -> None:
        """Record `event`; hold the thread when a gate is armed for it."""
        if self._sink is not None:
            self._sink(event, time.monotonic(), self._names.mine, fields)
        if self._gate is not None:
            self._gate(event, fields)
