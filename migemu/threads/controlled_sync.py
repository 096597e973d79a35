"""Locks and conditions of a controlled run.

A lock that cannot be had parks the thread; parked threads stand in the engine's ready list exactly while
the lock is free, so "who takes it" is the ordinary decision who runs next. A wake-up moves a waiter from
its condition to its lock. Nothing here is thread safe, and nothing has to be: one step at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Self

from migemu.threads.controlled_rules import SPURIOUS_WAKEUP, WAKE_UP
from migemu.threads.controlled_workers import Abandoned

if TYPE_CHECKING:
    from types import TracebackType

    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task


class ControlledLock:
    """A lock whose every acquire is a scheduling point.

    Attributes:
        owner: the thread that holds it.
        parked: the threads that stand before it.
        transparent: what is used under it is declared; a section within one step only looks at the lock.
    """

    __slots__ = ("bit", "engine", "name", "owner", "parked", "transparent")

    def __init__(self, engine: Engine, name: str, bit: int) -> None:
        self.engine = engine
        self.name = name
        self.bit = bit
        self.owner: Task | None = None
        self.parked: list[Task] = []
        self.transparent = False

    def __enter__(self) -> Self:
        # The hot path of every exploration: Engine.pause and the lock's own part, written out in one.
        engine = self.engine
        task = engine.current
        if self.owner is not None:
            self._await(task)
        else:
            step = engine.steps
            engine.steps = step + 1
            if step >= engine.alert:
                engine.close(task, step)
            engine.foot = engine.seen = engine.took = 0
            ready = engine.ready
            if ready or engine.sleep:
                choice = engine.decide(task, ready)
                if choice:
                    self._stand_back(choice, task)
        self.owner = task
        engine.foot = engine.took = self.bit
        if self.parked:
            self.shut()
        return self

    def _stand_back(self, choice: int, task: Task) -> None:
        """The lock is free, but another thread runs first; it may take the lock, then we are not ready."""
        task.blocked_on = self
        parked = self.parked
        parked.append(task)
        self.engine.yield_to(choice, task)
        parked.remove(task)
        task.blocked_on = None

    def _await(self, task: Task, timeout: float | None = None) -> bool:
        """Park until the lock is free and it is our turn; False when `timeout` passed first."""
        task.blocked_on = self
        task.timed_out = False
        self.parked.append(task)
        self.engine.block(task, timeout)
        if task.timed_out:
            return False
        self.parked.remove(task)
        return True

    def shut(self) -> None:
        """The lock is taken: who stands before it cannot run."""
        ready = self.engine.ready
        for task in self.parked:
            ready.remove(task)

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; False when `timeout` seconds passed without getting it."""
        if timeout is None:
            self.__enter__()
            return True
        engine = self.engine
        task = engine.current
        engine.pause()
        if self.owner is None:
            engine.took = -self.bit
        elif timeout > 0 and self._await_briefly(task, timeout):
            engine.took = self.bit
        else:
            engine.seen |= self.bit
            return False
        self.owner = task
        engine.foot |= self.bit
        if self.parked:
            self.shut()
        return True

    def _await_briefly(self, task: Task, timeout: float) -> bool:
        self.engine.seen |= self.bit
        return self._await(task, timeout)

    def expire(self, task: Task) -> None:
        """The time limit of `task` has passed before it got the lock."""
        self.parked.remove(task)
        self.engine.ready.append(task)

    def release(self) -> None:
        """Give the lock back."""
        engine = self.engine
        if self.owner is not engine.current:
            self.refuse_release()
        self.owner = None
        if self.transparent:
            self._look()
        else:
            engine.foot |= self.bit
        if self.parked:
            engine.ready.extend(self.parked)
        if engine.pause_at_release:
            engine.pause()

    def let_go(self) -> None:
        """A condition's wait gives the lock back."""
        engine = self.engine
        self.owner = None
        if self.transparent:
            self._look()
        else:
            engine.foot |= self.bit
        if self.parked:
            engine.ready.extend(self.parked)

    def _look(self) -> None:
        """Give up a transparent lock: a section that began in this step leaves it as it was."""
        engine = self.engine
        if abs(engine.took) == self.bit:
            engine.foot &= ~self.bit
            engine.seen |= self.bit
        else:
            engine.foot |= self.bit

    def make_transparent(self) -> None:
        """From now on what is used under the lock is declared, its conditions by themselves."""
        self.transparent = True
        for condition in self.engine.conditions:
            if condition.lock is self:
                condition.stand_alone()

    def refuse_release(self) -> NoReturn:
        """Only the holder may release; unwinding after the end of a run passes by here too."""
        if self.engine.over:
            raise Abandoned
        raise RuntimeError(f"{self.engine.current.name} releases {self.name}, which it does not hold")

    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self.owner is self.engine.current

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        # release(), written out: half of all operations are this one.
        engine = self.engine
        if self.owner is not engine.current:
            self.refuse_release()
        self.owner = None
        if self.transparent:
            self._look()
        else:
            engine.foot |= self.bit
        if self.parked:
            engine.ready.extend(self.parked)
        if engine.pause_at_release:
            engine.pause()


class ControlledCondition:
    """A condition variable over a :class:`ControlledLock`; waiters are woken in the order they came.

    Attributes:
        bit: in footprints: its lock's, under which all use of it is.
        waiters: who waits, longest first.
        told: how often somebody notified.
        told_at: the step of the last time, and `told_by` who did.
    """

    __slots__ = ("bit", "engine", "lock", "name", "told", "told_at", "told_by", "waiters")

    def __init__(self, engine: Engine, lock: ControlledLock, name: str) -> None:
        self.engine = engine
        self.lock = lock
        self.bit = lock.bit
        self.name = name
        engine.conditions.append(self)
        self.waiters: list[Task] = []
        self.told = 0
        self.told_at = -1
        self.told_by: Task | None = None
        if lock.transparent:
            self.stand_alone()

    def stand_alone(self) -> None:
        """Its lock is transparent: it is an object of its own."""
        names = self.engine.names
        self.bit = names.bit(names.unique(self.engine.current.tid, self.name))

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, sleep until notified, take it again; False when `timeout` passed."""
        engine, lock = self.engine, self.lock
        task = engine.current
        if lock.owner is not task:
            self.refuse("waits on", task)
        lock.let_go()
        engine.foot |= self.bit
        self.waiters.append(task)
        task.blocked_on = self
        task.timed_out = False
        if engine.spurious and engine.choose(SPURIOUS_WAKEUP, 2, self.name):
            self.expire(task)
            timeout = None
        engine.block(task, timeout)
        lock.parked.remove(task)
        lock.owner = task
        engine.foot |= lock.bit
        engine.took = lock.bit
        if lock.parked:
            lock.shut()
        return not task.timed_out

    def expire(self, task: Task) -> None:
        """`task` is woken, by its time limit or for no reason: it wants its lock back."""
        self.waiters.remove(task)
        self._wake(task)

    def _wake(self, task: Task) -> None:
        """`task` stands before the lock now."""
        lock = self.lock
        task.blocked_on = lock
        lock.parked.append(task)
        if lock.owner is None:
            self.engine.ready.append(task)

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters; which ones is a decision."""
        self.tell()
        waiters = self.waiters
        while waiters and n > 0:
            choose = n < len(waiters)
            self.rouse(self.engine.option(WAKE_UP, len(waiters), self.name) if choose else 0)
            n -= 1

    def notify_all(self) -> None:
        """Wake every waiter."""
        self.tell()
        while self.waiters:
            self.rouse(0)

    def refuse(self, verb: str, task: Task) -> NoReturn:
        """A condition may be used only with its lock held."""
        if self.engine.over:
            raise Abandoned
        raise RuntimeError(f"{task.name} {verb} {self.name} without holding {self.lock.name}")

    def tell(self) -> None:
        """Keep the account of notifications."""
        engine = self.engine
        task = engine.current
        if self.lock.owner is not task:
            self.refuse("notifies", task)
        self.told += 1
        self.told_at = engine.steps
        self.told_by = task
        if self.waiters:
            engine.foot |= self.bit
        else:
            engine.seen |= self.bit

    def rouse(self, choice: int) -> None:
        """A waiter is notified; the notifier holds the lock, so it cannot run yet."""
        task = self.waiters.pop(choice)
        task.ticket = 0
        task.enabler = self.engine.steps
        task.blocked_on = self.lock
        self.lock.parked.append(task)
