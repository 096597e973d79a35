"""Threads whose events order rules can wait for: the seam as it was, with one listener more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migemu.threads.api import Condition, Lock, Thread, Threads


class WatchedThreads:
    """Hands everything on to `threads`, and tells `listener` of the events in `names`.

    Args:
        threads: what does the work.
        names: the events that are listened for.
        listener: called in the thread where the event happened, right behind it.
    """

    def __init__(
        self, threads: Threads, names: frozenset[str], listener: Callable[[str, Mapping[str, Any]], None]
    ) -> None:
        self._threads = threads
        self._names = names
        self._listener = listener

    def lock(self, name: str) -> Lock:
        """A new lock."""
        return self._threads.lock(name)

    def condition(self, lock: Lock, name: str) -> Condition:
        """A new condition over `lock`."""
        return self._threads.condition(lock, name)

    def spawn(self, name: str, target: Callable[[], None]) -> Thread:
        """Start a thread."""
        return self._threads.spawn(name, target)

    def current(self) -> str:
        """The calling thread's name."""
        return self._threads.current()

    def now(self) -> float:
        """Monotonic time in seconds."""
        return self._threads.now()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self._threads.sleep(seconds)

    def point(self, event: str, /, **fields: object) -> None:
        """Say that `event` happens here; if a rule waits for it, say that too."""
        self._threads.point(event, **fields)
        if event in self._names:
            self._listener(event, fields)
