"""Textbook systems, right and wrong: what a search must find, and what it must let pass.

Small, known by heart, and written against the seam only; for learning how a system is put under
exploration, and for measuring the search itself. Each has a switch that puts one classic mistake in.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from migemu.lab.explore.plan import MakeSystem, System
    from migemu.threads.controlled import ControlledThreads


class BoundedQueue:
    """Producers and consumers over a queue with room for `capacity` items, on one condition.

    Args:
        producers: threads that put.
        consumers: threads that take; together they take all.
        items: of each producer; the total is divided by the consumers.
        capacity: of the queue.
        notify_all: False is the mistake: with one condition for "not full" and "not empty", a single wake-up
            may reach a thread of the wrong kind and is lost.
        loop: False is the mistake: `if` instead of `while` around the wait.
    """

    def __init__(
        self,
        producers: int = 1,
        consumers: int = 1,
        items: int = 2,
        capacity: int = 1,
        *,
        notify_all: bool = True,
        loop: bool = True,
    ) -> None:
        self._shape = (producers, consumers, items)
        self._capacity = capacity
        self._notify_all = notify_all
        self._loop = loop
        self._queue: deque[str] = deque()
        self._taken: list[tuple[str, ...]] = []

    def build(self, threads: ControlledThreads) -> None:
        """Spawn producers and consumers."""
        producers, consumers, items = self._shape
        self._lock = threads.lock("queue lock")
        self._changed = threads.condition(self._lock, "queue changed")
        threads.invariant("queue-bounded", self._check_bound, over=[self._lock])
        for number in range(producers):
            threads.spawn(f"producer {number}", lambda number=number: self._produce(number, items))  # type: ignore[misc]  # a default binds the loop variable
        for number in range(consumers):
            threads.spawn(f"consumer {number}", lambda: self._consume(producers * items // consumers))

    def _check_bound(self) -> str | None:
        length = len(self._queue)
        return f"{length} items in a queue for {self._capacity}" if length > self._capacity else None

    def _produce(self, number: int, items: int) -> None:
        for item in range(items):
            with self._lock:
                self._wait_while(lambda: len(self._queue) == self._capacity)
                self._queue.append(f"{number}.{item}")
                self._tell()

    def _consume(self, items: int) -> None:
        taken = []
        for _ in range(items):
            with self._lock:
                self._wait_while(lambda: not self._queue)
                taken.append(self._queue.popleft())
                self._tell()
        with self._lock:
            self._taken.append(tuple(taken))

    def _wait_while(self, blocked: Callable[[], bool]) -> None:
        if not self._loop and blocked():
            self._changed.wait()
        while self._loop and blocked():
            self._changed.wait()

    def _tell(self) -> None:
        if self._notify_all:
            self._changed.notify_all()
        else:
            self._changed.notify()

    def final(self) -> Hashable:
        """What each consumer got, and what is left."""
        return tuple(self._taken), tuple(self._queue)


class ReadersWriters:
    """Threads meet at a barrier in each round; then one writes, the others read what it wrote.

    Args:
        readers: beside the writer.
        rounds: how often.
        barrier: False is the mistake: readers do not wait for the writer of their round.
    """

    def __init__(self, readers: int = 2, rounds: int = 1, *, barrier: bool = True) -> None:
        self._readers = readers
        self._rounds = rounds
        self._barrier = barrier
        self._arrived = self._round = self._value = 0
        self._reads: list[tuple[int, int]] = []

    def build(self, threads: ControlledThreads) -> None:
        """Spawn the writer and the readers."""
        self._lock = threads.lock("barrier lock")
        self._turn = threads.condition(self._lock, "barrier turned")
        threads.invariant("reads-its-round", self._check_reads, over=[self._lock])
        threads.spawn("writer", self._write)
        for number in range(self._readers):
            threads.spawn(f"reader {number}", self._read)

    def _check_reads(self) -> str | None:
        stale = [read for read in self._reads if read[0] != read[1]]
        return f"a reader of round {stale[0][0]} read the value of round {stale[0][1]}" if stale else None

    def _meet(self) -> None:
        """The barrier: the last to arrive opens it for all. The lock is held."""
        self._arrived += 1
        if self._arrived == self._readers + 1:
            self._arrived = 0
            self._round += 1
            self._turn.notify_all()
            return
        here = self._round
        while self._round == here:
            self._turn.wait()

    def _write(self) -> None:
        for number in range(self._rounds):
            with self._lock:
                self._value = number
                self._meet()
            with self._lock:
                self._meet()

    def _read(self) -> None:
        for number in range(self._rounds):
            with self._lock:
                if self._barrier:
                    self._meet()
            with self._lock:
                self._reads.append((number, self._value))
                if not self._barrier:
                    self._meet()
                self._meet()

    def final(self) -> Hashable:
        """What was read, in order."""
        return tuple(self._reads)


class Handover:
    """One thread announces, another waits for the announcement.

    Args:
        mistake: "unlocked-check" looks at the flag before it takes the lock and does not look again;
            "late-flag" notifies before it sets the flag; "silent" never notifies; "if" wakes once and
            believes it; "" is right.
    """

    def __init__(self, mistake: str = "") -> None:
        self._mistake = mistake
        self._ready = False
        self._went_on_early = False

    def build(self, threads: ControlledThreads) -> None:
        """Spawn both."""
        self._threads = threads
        self._lock = threads.lock("flag lock")
        self._told = threads.condition(self._lock, "flag set")
        threads.invariant("waits-for-flag", self._check)
        threads.spawn("waiter", self._wait)
        threads.spawn("announcer", self._announce)

    def _check(self) -> str | None:
        return "the waiter went on before the announcement" if self._went_on_early else None

    def _wait(self) -> None:
        if self._mistake == "unlocked-check":
            self._threads.touch("flag", write=False)
            if not self._ready:
                with self._lock:
                    self._told.wait()
            return
        with self._lock:
            while not self._ready:
                self._told.wait()
                if self._mistake == "if":
                    break
            self._went_on_early = not self._ready

    def _announce(self) -> None:
        if self._mistake == "late-flag":
            with self._lock:
                self._told.notify_all()
        if self._mistake in {"unlocked-check", "late-flag"}:
            self._threads.touch("flag")
        with self._lock:
            self._ready = True
            if self._mistake not in {"silent", "late-flag"}:
                self._told.notify_all()


class LockOrder:
    """Two threads that need two locks.

    Args:
        same_order: False is the mistake.
        bystanders: threads that only ever take the second lock.
    """

    def __init__(self, *, same_order: bool = True, bystanders: int = 0) -> None:
        self._same_order = same_order
        self._bystanders = bystanders

    def build(self, threads: ControlledThreads) -> None:
        """Spawn the threads."""
        first, second = threads.lock("load_bufs_mutex"), threads.lock("BQL")

        def both(outer: str, inner: str) -> None:
            locks = {"load_bufs_mutex": first, "BQL": second}
            with locks[outer], locks[inner]:
                threads.point("both", by=threads.current())

        def one() -> None:
            with second:
                pass

        threads.spawn("loader", lambda: both("load_bufs_mutex", "BQL"))
        order = ("load_bufs_mutex", "BQL") if self._same_order else ("BQL", "load_bufs_mutex")
        threads.spawn("cleanup", lambda: both(*order))
        for number in range(self._bystanders):
            threads.spawn(f"bystander {number}", one)


class Heartbeat:
    """A thread waits for an item that nobody makes; another one ticks.

    Args:
        ticks: how often; None for ever.
        patience: the waiter's time limit in seconds; None waits for ever, which is the mistake.
    """

    def __init__(self, ticks: int | None = 3, patience: float | None = None) -> None:
        self._ticks = ticks
        self._patience = patience
        self.gave_up_at: float | None = None

    def build(self, threads: ControlledThreads) -> None:
        """Spawn both."""
        self._threads = threads
        self._lock = threads.lock("items lock")
        self._item = threads.condition(self._lock, "item there")
        threads.spawn("waiter", self._wait)
        threads.spawn("heartbeat", self._tick)

    def _wait(self) -> None:
        with self._lock:
            while self._item.wait(self._patience):
                pass
            self.gave_up_at = self._threads.now()

    def _tick(self) -> None:
        tick = 0
        while self._ticks is None or tick < self._ticks:
            self._threads.sleep(1.0)
            tick += 1


def by_name(name: str, **arguments: Any) -> MakeSystem:
    """What makes the textbook system `name`; for shards, which name their system in words."""
    systems: dict[str, Callable[..., System]] = {
        made.__name__: made for made in (BoundedQueue, ReadersWriters, Handover, LockOrder, Heartbeat)
    }
    return lambda: systems[name](**arguments)
