"""The seam on a virtual clock: a discrete event simulation in which nothing is decided.

For virtual runs: time passes only in sleeps and time limits, threads that can run do so in the order in
which they became able to, and a lock goes to whoever has waited longest for it (so that a thread that
takes it again at once cannot starve the others within one instant of virtual time). The same program gives
the same run, always.

There are no scheduling points besides blocking and no footprints, hence the speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from greenlet import getcurrent  # type: ignore[import-untyped]  # greenlet ships no annotations

from migemu.errors import ScheduleError
from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_rules import Rules
from migemu.threads.controlled_stuck import diagnose
from migemu.threads.controlled_sync import ControlledCondition, ControlledLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from migemu.threads.api import Lock
    from migemu.threads.controlled_task import Task


class OrderedEngine(Engine):
    """An engine that only blocks and goes on, first come, first served."""

    __slots__ = ()

    def pause(self) -> None:
        """No scheduling point: the running thread goes on."""

    def block(self, task: Task, timeout: float | None = None) -> None:
        """The running thread cannot go on; returns when it is its turn again."""
        if self.over or self.building:
            self._refuse_to_block()
        if timeout is not None:
            self.timers.arm(task, self.now + timeout if timeout > 0 else self.now)
        self.steps += 1
        if self.steps > self.rules.max_steps:
            self.stop("steps")
        following = self.next()
        if following is None:
            self.main.switch()
        elif following is not task:
            self.carry(following)
        task.blocked_on = None

    def carry(self, task: Task) -> None:
        """Switch to `task`; new greenlets are started by the main one.

        A greenlet started from within another begins at its depth of stack and of recursion; hundreds of
        threads that start one another would go too deep, though each by itself is shallow.
        """
        self.current = task
        carrier = task.greenlet
        if carrier is None:
            carrier = self.carrier(task)
            if not carrier and getcurrent() is not self.main:
                self.main.switch((carrier,))
                return
        asked = carrier.switch()
        while asked:  # only the main greenlet is asked anything
            asked = asked[0].switch()

    def next(self) -> Task | None:
        """The thread that became able to run first."""
        ready = self.ready
        while not ready:
            if not self._advance():
                self.ended = self.ended or ("stuck" if self.live else "done")
                return None
        return ready.pop(0)


class HandedLock(ControlledLock):
    """A lock that is handed to the thread that has waited longest."""

    __slots__ = ()

    def __enter__(self) -> Self:
        task = self.engine.current
        if self.owner is None:
            self.owner = task
        else:
            self._queue(task, None)
        return self

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; False when `timeout` seconds passed without getting it."""
        task = self.engine.current
        if self.owner is None:
            self.owner = task
            return True
        if timeout is not None and timeout <= 0:
            return False
        return self._queue(task, timeout)

    def _queue(self, task: Task, timeout: float | None) -> bool:
        task.blocked_on = self
        task.timed_out = False
        self.parked.append(task)
        self.engine.block(task, timeout)
        return not task.timed_out

    def release(self) -> None:
        """Hand the lock on."""
        if self.owner is not self.engine.current:
            self.refuse_release()
        self.pass_on()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self.owner is not self.engine.current:
            self.refuse_release()
        if self.parked:
            self.pass_on()
        else:
            self.owner = None

    def pass_on(self) -> None:
        """The next thread in the queue owns the lock and can run."""
        if self.parked:
            task = self.owner = self.parked.pop(0)
            task.ticket = 0
            self.engine.ready.append(task)
        else:
            self.owner = None


class HandedCondition(ControlledCondition):
    """A condition over a :class:`HandedLock`."""

    __slots__ = ()

    lock: HandedLock

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, sleep until notified, take it again; False when `timeout` passed."""
        engine, lock = self.engine, self.lock
        task = engine.current
        if lock.owner is not task:
            self.refuse("waits on", task)
        lock.pass_on()
        self.waiters.append(task)
        task.blocked_on = self
        task.timed_out = False
        engine.block(task, timeout)
        return not task.timed_out

    def expire(self, task: Task) -> None:
        """`task` is woken by its time limit: it wants its lock back."""
        self.waiters.remove(task)
        lock = self.lock
        if lock.owner is None:
            lock.owner = task
            self.engine.ready.append(task)
        else:
            task.blocked_on = lock
            lock.parked.append(task)

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters, longest first; they queue for the lock, which the notifier holds."""
        self.tell()
        while n > 0 and self.waiters:
            self.rouse(0)
            n -= 1


class OrderedThreads(ControlledThreads):
    """Threads of a virtual run."""

    __slots__ = ()

    def lock(self, name: str) -> HandedLock:
        """A new lock."""
        return HandedLock(self.engine, name, 0)

    def condition(self, lock: Lock, name: str) -> HandedCondition:
        """A new condition over `lock`."""
        return HandedCondition(self.engine, self.own(lock, name), name)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass; a negative or zero time returns at once."""
        if seconds > 0:
            engine = self.engine
            task = engine.current
            task.blocked_on = engine.clock
            engine.block(task, seconds)


def run_ordered(
    build: Callable[[OrderedThreads], object],
    *,
    max_seconds: float = 86_400.0,
    max_blocks: int = 1 << 40,
) -> float:
    """Run the program that `build` spawns the first threads of, on a virtual clock.

    Args:
        build: given the threads; must not block itself.
        max_seconds: virtual time after which the run counts as one without an end.
        max_blocks: how often threads may block before it does.

    Returns:
        The virtual time at which the last thread ended, in seconds.

    Raises:
        ScheduleError: the program stood still or went on for ever, or a thread raised.
        InvariantError: a thread raised that.
    """
    engine = OrderedEngine(Rules(max_seconds=max_seconds, max_steps=max_blocks))
    threads = OrderedThreads(engine)
    engine.run(lambda: build(threads))
    try:
        if engine.failure is not None:
            raise engine.failure[2]
        if engine.ended != "done":
            raise ScheduleError(diagnose(engine).summary)
        return engine.now
    finally:
        engine.abandon()
