"""A semaphore that a migration's end wakes (QEMU: qemu_sem_post, qemu_sem_wait, and nobody posting again)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Patience


class Semaphore:
    """Counts posts; a wait takes one.

    Args:
        threads: makes its lock.
        abort: ends a wait when the side fails.
        patience: ends a wait when nothing moves.
        name: what people call it.
    """

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, name: str) -> None:
        self._lock = threads.lock(name)
        self._posted = threads.condition(self._lock, f"{name} posted")
        self._abort = abort
        self._patience = patience
        self._count = 0
        abort.watch(self._lock, self._posted)

    def post(self) -> None:
        """Let one waiter through, now or later."""
        with self._lock:
            self._count += 1
            self._posted.notify()

    def wait(self, what: str) -> None:
        """Take a post, waiting for `what`, which it stands for.

        Raises:
            PeerTimeoutError: nothing moved for as long as patience allows.
            MigemuError: the side was aborted.
        """
        with self._lock:
            self._abort.wait_for(self._posted, lambda: self._count > 0, self._patience, what)
            self._count -= 1
