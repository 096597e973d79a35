"""One device's load_bufs_mutex, the conditions over it, and the error that wakes all their sleepers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.threads.api import Condition, Threads


class LoadBufsMutex:
    """What everybody who waits for a device's buffers shares.

    Args:
        device: section id.
        threads: locks, clock and event log.
    """

    def __init__(self, device: str, threads: Threads) -> None:
        self.device = device
        self.threads = threads
        self.mutex = threads.lock(f"load_bufs_mutex {device}")
        self._conditions: list[Condition] = []
        self._error: MigemuError | None = None

    @property
    def want_exit(self) -> bool:
        """The migration has failed or was cancelled: leave."""
        return self._error is not None

    def condition(self, name: str) -> Condition:
        """A further condition over the mutex; an abort wakes its sleepers too (bug B5)."""
        made = self.threads.condition(self.mutex, f"{name} {self.device}")
        self._conditions.append(made)
        return made

    def raise_if_failed(self) -> None:
        """For a loader that woke up.

        Raises:
            MigemuError: what the device's buffers were aborted with.
        """
        if self._error is not None:
            raise self._error

    def _wake_everybody(self) -> None:
        for condition in self._conditions:
            condition.notify_all()
