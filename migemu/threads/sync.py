"""What a migration needs on top of locks and conditions: an abort, the BQL, a queue, a thread pool.

All of it is written against :class:`migemu.threads.api.Threads`, so it runs on real threads and under
the controlled scheduler alike. The common rule: every wait ends, by its event, by the abort of its
side, or by its deadline.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from migemu.errors import MigemuError, PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from migemu.threads.api import Condition, Lock, Thread, Threads

T = TypeVar("T")


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
                raise PeerTimeoutError(f"nothing moved for {patience.seconds:g} s while waiting for {what}")
            condition.wait(left)


class Patience:
    """How long a side waits while nothing at all moves: one account shared by all its waits.

    Whoever sees progress (bytes on any connection, a buffer in a device) touches it. `seconds` None
    waits for ever, as QEMU does; only explorations that look for such waits use that.
    """

    def __init__(self, threads: Threads, seconds: float | None) -> None:
        self._threads = threads
        self.last = threads.now()
        """When something moved last."""
        self.seconds = seconds if seconds is not None else float("inf")

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
        super().__init__(first._threads, first.seconds)  # noqa: SLF001  a helper of the same class
        self._first = first

    def touch(self) -> None:
        self._first.touch()

    def left(self, started: float) -> float | None:
        left = self._first.left(started)
        return None if left is None else left + MOMENT


MOMENT = 0.25
"""Seconds that a thread which waits for others gives them to say first what is wrong."""


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


class Queue(Generic[T]):
    """A FIFO between the loop that owns a socket and the thread that acts on what it carried.

    `put` never blocks (the loop must not); it returns whether the queue is now over its soft limit,
    and the owner of the socket then pauses reading until `on_room` is called.

    Args:
        threads: the concurrency seam.
        abort: ends the waits.
        name: what is waited for, for people.
        limit: items from which the queue is full.
        weigh: bytes of an item.
        limit_bytes: bytes from which the queue is full.
    """

    def __init__(
        self,
        threads: Threads,
        abort: Abort,
        name: str,
        *,
        limit: int,
        weigh: Callable[[T], int] = lambda _: 0,
        limit_bytes: float = float("inf"),
    ) -> None:
        self._lock = threads.lock(f"{name} lock")
        self._filled = threads.condition(self._lock, f"{name} filled")
        self._items: deque[T] = deque()
        self._name = name
        self._limit = limit
        self._weigh = weigh
        self._limit_bytes = limit_bytes
        self.bytes = 0
        """Bytes of the items that wait."""
        self._abort = abort
        self._full = False
        self.on_room: Callable[[], None] = lambda: None
        abort.watch(self._lock, self._filled)

    def put(self, item: T) -> bool:
        """Add an item; True when the producer should pause."""
        with self._lock:
            self._items.append(item)
            self.bytes += self._weigh(item)
            self._filled.notify()
            self._full = len(self._items) >= self._limit or self.bytes >= self._limit_bytes
            return self._full

    def poll(self) -> T | None:
        """Take the next item if there is one."""
        with self._lock:
            item = self._take() if self._items else None
            room = self._made_room()
        if room:
            self.on_room()
        return item

    def get(self, patience: Patience) -> T:
        """Take the next item, waiting for it."""
        with self._lock:
            self._abort.wait_for(self._filled, lambda: bool(self._items), patience, self._name)
            item = self._take()
            room = self._made_room()
        if room:
            self.on_room()
        return item

    def _take(self) -> T:
        item = self._items.popleft()
        self.bytes -= self._weigh(item)
        return item

    def _made_room(self) -> bool:
        """Whether the producer was told to pause and may now go on (hysteresis: half the limit)."""
        few = len(self._items) <= self._limit // 2 and self.bytes <= self._limit_bytes / 2
        if self._full and few:
            self._full = False
            return True
        return False


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
