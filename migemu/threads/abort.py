"""The first error of a side, and the end of every wait: the abort and the patience all its threads share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.errors import MigemuError
    from migemu.threads.api import Condition, Lock, Threads


class Abort:
    """The first error of one side, and the bell that ends every wait of that side.

    Setting it takes the lock of every watched condition, one after the other, so it must be called
    with none of them held: errors travel up to the top of their thread first (B4, B5 of the bug
    catalogue are what happens otherwise).
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._watched: list[tuple[Lock, Condition]] = []
        self._calls: list[Callable[[MigemuError], object]] = []
        self._end: dict[str, MigemuError | None] = {}
        self.error: MigemuError | None = None

    def watch(self, lock: Lock, condition: Condition) -> None:
        """Have waiters of `condition` woken when the abort is set."""
        self._watched.append((lock, condition))

    def on_abort(self, call: Callable[[MigemuError], object]) -> None:
        """Have `call` called, once, by whoever sets the abort."""
        self._calls.append(call)

    def set(self, error: MigemuError) -> bool:
        """End the migration of this side; False when it has ended already, by an earlier error or well."""
        if self.error is not None or self._end.setdefault("end", error) is not error:
            return False
        self.error = error
        self._threads.point("error", message=str(error), kind=type(error).__name__, **error.where())
        for lock, condition in self._watched:
            with lock:
                condition.notify_all()
        for call in self._calls:
            call(error)
        return True

    def check(self) -> None:
        """Raise the error if there is one."""
        if self.error is not None:
            raise self.error

    def settle(self) -> None:
        """The migration has ended well: an error that comes from now on is none of its own any more.

        Whoever comes first, this or the first error, wins (``setdefault`` is one step in CPython), so that a
        side never both succeeds and fails (B12).

        Raises:
            MigemuError: the first error was there before.
        """
        first = self._end.setdefault("end", None)
        if first is not None:
            raise first

    def wait_for(
        self, condition: Condition, predicate: Callable[[], bool], patience: Patience, what: str
    ) -> None:
        """Wait on `condition` (its lock held) until `predicate` holds.

        Raises:
            PeerTimeoutError: nothing moved for as long as `patience` allows; `what` was waited for.
            MigemuError: the abort was set.
        """
        started = self._threads.now()
        while not predicate():
            self.check()
            left = patience.left(started)
            if left is not None and left <= 0:
                told = f"nothing moved for {patience.seconds:g} s while waiting for {what} ({patience.limit})"
                raise PeerTimeoutError(told)
            condition.wait(left)


class Patience:
    """How long a side waits while nothing at all moves: one account shared by all its waits.

    Whoever sees progress (bytes on any connection, a buffer in a device) touches it. `seconds` None
    waits for ever, as QEMU does; only explorations that look for such waits use that. `limit` is the setting
    that said so, for the errors of those who waited in vain.
    """

    def __init__(self, threads: Threads, seconds: float | None, limit: str = "timeouts.phase") -> None:
        self._threads = threads
        self.last = threads.now()
        """When something moved last."""
        self.seconds = seconds if seconds is not None else float("inf")
        self.limit = limit

    def touch(self) -> None:
        """Something moved."""
        self.last = self._threads.now()

    def left(self, started: float) -> float | None:
        """Seconds left for a wait that began at `started`; None without a limit."""
        if self.seconds == float("inf"):
            return None
        return max(self.last, started) + self.seconds - self._threads.now()

    def of_those_behind(self) -> Patience:
        """The same account and a little more time, for who waits for threads that wait themselves.

        They know what they wait for, so theirs is the better error: it comes first.
        """
        return _LongerPatience(self)

    def deadline(self) -> Callable[[], float]:
        """When a wait that begins now ends, asked again and again: progress moves it."""
        started = self._threads.now()
        return lambda: max(self.last, started) + self.seconds


class _LongerPatience(Patience):
    """See :meth:`Patience.of_those_behind`."""

    def __init__(self, first: Patience) -> None:
        super().__init__(first._threads, first.seconds, first.limit)  # noqa: SLF001  a helper of the same class
        self._first = first

    def touch(self) -> None:
        self._first.touch()

    def left(self, started: float) -> float | None:
        left = self._first.left(started)
        return None if left is None else left + MOMENT


MOMENT = 0.25
"""Seconds that a thread which waits for others gives them to say first what is wrong."""
