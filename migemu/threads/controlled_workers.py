"""Greenlets that carry controlled threads, used again from thread to thread and from run to run.

A greenlet is dear to make (its first switch allocates a stack) and cheap to switch to; so one whose thread
has ended carries the next thread that has not started, or waits in the pool for one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # greenlet ships no annotations

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.controlled_task import Task


class Abandoned(BaseException):
    """Unwinds a thread whose run is over; not an Exception, so that the program does not catch it."""


class Machine:
    """What carries threads; who runs next is the business of the two kinds of engine below it.

    Attributes:
        current: the thread that runs.
        main: the greenlet that called for the run and gets control back at its end.
        over: the run has ended: nothing may block any more.
        tasks: all threads of this run.
    """

    __slots__ = ("__weakref__", "_pool", "current", "main", "over", "tasks")

    def __init__(self) -> None:
        self._pool: list[Any] = []
        self.tasks: list[Task] = []
        self.main: Any = None
        self.over = True
        self.current: Task

    def finish(self, task: Task) -> Task | None:
        """`task` has ended: who runs next, or None when the run is over."""
        raise NotImplementedError

    def failed(self, task: Task, error: Exception) -> None:
        """`task` ended by an exception."""
        raise NotImplementedError

    def enter(self) -> None:
        """A run begins, called for by the current greenlet."""
        caller = getcurrent()
        if caller is not self.main:
            self._pool.clear()
            self.main = caller
        self.tasks.clear()
        self.over = False

    def carry(self, task: Task) -> None:
        """Switch to `task`; returns when somebody switches back."""
        self.current = task
        (task.greenlet or self.carrier(task)).switch()

    def carrier(self, task: Task) -> Any:
        """The greenlet on which `task` starts."""
        task.greenlet = self._pool.pop() if self._pool else greenlet(partial(_work, ref(self)), self.main)
        return task.greenlet

    def serve(self, mine: Any) -> Any:
        """Run one thread after the other on `mine`; whom it gives way to, now that it is idle."""
        while True:
            task = self.current
            task.greenlet = mine
            following = self._perform(task)
            task.greenlet = None
            if following is None:
                self._pool.append(mine)
                return self.main
            self.current = following
            if following.greenlet is not None:
                self._pool.append(mine)
                return following.greenlet
            following.greenlet = mine

    def _perform(self, task: Task) -> Task | None:
        """Run the thread to its end; who runs next."""
        try:
            try:
                task.target()
            except Exception as error:  # noqa: BLE001  whatever a thread raises is a finding of the run
                self.failed(task, error)
            return self.finish(task)
        except Abandoned:
            return None

    def abandon(self) -> None:
        """End the run: unwind every thread that has not ended, so that its greenlet is free again."""
        self.over = True
        for task in self.tasks:
            carrier = task.greenlet
            if carrier is not None and not carrier.dead:
                self.current = task
                carrier.throw(Abandoned)
                # CPython 3.11 may count an unwound call as still open; after some hundred runs the greenlet
                # would be at its recursion limit, and a run would depend on those before it
                self._pool.clear()


def _work(whose: Callable[[], Any]) -> None:
    """The life of a greenlet that carries the threads of one machine.

    While it is idle it does not refer to that machine: what a suspended greenlet refers to is out of the
    garbage collector's sight, and the machine, with all of its last run, would stay for the sake of its pool.

    Args:
        whose: gives the machine.
    """
    while True:
        whose().serve(getcurrent()).switch()
