"""Threads that are ended together, and none of whose errors vanishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import MigemuError

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.abort import Abort, Patience
    from migemu.threads.api import Thread, Threads


class Pool:
    """Named threads that end well or abort their side; the core's pool of load or save threads."""

    def __init__(self, threads: Threads, abort: Abort, name: str) -> None:
        self._threads = threads
        self._abort = abort
        self._name = name
        self._lock = threads.lock(f"{name} lock")
        self._ended = threads.condition(self._lock, f"{name} ended")
        self._running = 0
        self._members: list[Thread] = []
        abort.watch(self._lock, self._ended)

    def submit(self, name: str, work: Callable[[], None]) -> None:
        """Run `work` in a thread of its own; what it raises aborts this side."""
        with self._lock:
            self._running += 1
        self._members.append(self._threads.spawn(name, lambda: self._run(name, work)))

    def _run(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except MigemuError as error:
            self._abort.set(error)
        except Exception as error:  # noqa: BLE001  a thread's last line of defence: nothing may vanish
            self._abort.set(MigemuError(f"{name} failed: {type(error).__name__}: {error}"))
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:  # nobody waits for less
                    self._ended.notify_all()

    def wait(self, patience: Patience) -> None:
        """Wait until every thread has ended; ends early when the side aborts."""
        with self._lock:
            self._abort.wait_for(self._ended, lambda: not self._running, patience, f"{self._name} to end")
        self._abort.check()

    def join(self, seconds: float) -> bool:
        """After an abort: wait for the threads themselves; False when one is still alive."""
        deadline = self._threads.now() + seconds
        return all(member.join(max(0.0, deadline - self._threads.now())) for member in self._members)
