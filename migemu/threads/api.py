"""The concurrency seam: what device, hand-off and incoming code may use of threads and time.

The code that migrates is ordinary blocking code on objects it was given. Two implementations stand
behind this interface: :mod:`migemu.threads.native` (``threading`` and the monotonic clock) and
:mod:`migemu.threads.controlled` (greenlets, one step at a time, a virtual clock, every lock, wait and
wake-up a decision). Code written against it must hold for both: a wait may wake spuriously, a thread
runs until it blocks or is preempted, and nothing else may be waited on.

All times are seconds as float. Names are for people: they appear in events, deadlock reports and
schedules, so they say what the object is in migration words (``load_bufs_mutex 0000:00:01.0``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Lock(Protocol):
    """A mutual-exclusion lock; not re-entrant."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; False when `timeout` seconds passed without getting it."""
        ...

    def release(self) -> None:
        """Give the lock back."""
        ...

    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Condition(Protocol):
    """A condition variable over a lock made by the same :class:`Threads`."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, sleep until notified, take it again; False when `timeout` passed.

        May return without a notification (a spurious wake-up): call it in a loop over a predicate.
        """
        ...

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters; the lock is held."""
        ...

    def notify_all(self) -> None:
        """Wake every waiter; the lock is held."""
        ...


class Thread(Protocol):
    """A started thread."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when `timeout` passed first."""
        ...

    def alive(self) -> bool:
        """Whether it still runs."""
        ...


class Threads(Protocol):
    """Where locks, conditions, threads and time come from."""

    def lock(self, name: str) -> Lock:
        """A new lock."""
        ...

    def condition(self, lock: Lock, name: str) -> Condition:
        """A new condition over `lock`."""
        ...

    def spawn(self, name: str, target: Callable[[], None]) -> Thread:
        """Start a thread. `target` must not raise: whatever it meets it reports itself."""
        ...

    def current(self) -> str:
        """The calling thread's name."""
        ...

    def now(self) -> float:
        """Monotonic time in seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Sleep; zero or less returns at once."""
        ...

    def point(self, event: str, /, **fields: object) -> None:
        """Say that `event` happens here, now.

        One call serves three readers: the event log records it, an armed gate may hold the calling
        thread at it (replay of a schedule on real threads), and a controlled run may switch at it.
        Event names follow QEMU's trace points where one exists.
        """
        ...
