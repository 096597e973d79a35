"""One controlled thread: what the engine knows of it, and what its own program may ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.controlled_decider import Decider
    from migemu.threads.controlled_engine import Engine


class Obstacle(Protocol):
    """What a thread can be blocked on: a lock, a condition, another thread, the clock."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def expire(self, task: Task) -> None:
        """The time limit of `task`'s wait here has passed: let it run on."""
        ...


class Clock:
    """What a sleeping thread is blocked on."""

    __slots__ = ("engine",)

    name = "the clock"

    def __init__(self, engine: Decider) -> None:
        self.engine = engine

    def expire(self, task: Task) -> None:
        """The sleep is over."""
        self.engine.ready.append(task)


class Task:
    """A controlled thread; the program sees it as :class:`migemu.threads.api.Thread`.

    Attributes:
        tid: its number, the same in every run of an exploration (by who started it and its name).
        bit: its bit among the touched objects; its end writes it, `join` and `alive` read it.
        greenlet: what it runs on while it is started and not ended.
        ended: the step in which it ended, or -1.
        enabler: the step that made it able to run; ``-1 - n`` means that all steps before `n` did.
        ticket: of its running timer; 0 without one.
        timed_out: whether its last wait ended by its time limit.
        due: when a timeout that was decided to be early would have been due.
        blocked_on: what it waits for or, at a lock, stands before; None otherwise.
        since: the step at which that wait began.
        doing: the operation it stands before, in words; only kept while a trace is written.
    """

    __slots__ = (
        "bit",
        "blocked_on",
        "doing",
        "due",
        "enabler",
        "ended",
        "engine",
        "greenlet",
        "joiners",
        "name",
        "since",
        "target",
        "ticket",
        "tid",
        "timed_out",
    )

    def __init__(self, engine: Engine, name: str, target: Callable[[], None], tid: int, bit: int) -> None:
        self.engine = engine
        self.name = name
        self.target = target
        self.tid = tid
        self.bit = bit
        self.greenlet: Any = None
        self.ended = -1
        self.enabler = -1
        self.ticket = 0
        self.timed_out = False
        self.due: float | None = None
        self.blocked_on: Obstacle | None = None
        self.since = 0
        self.joiners: list[Task] | None = None
        self.doing = "starts"

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; False when `timeout` passed first."""
        engine = self.engine
        task = engine.current
        task.doing = f"joins {self.name}"
        if timeout is None or (timeout > 0 and not engine.early):
            if self.ended < 0:
                return self._await(task, timeout)
            engine.pause()
            task.enabler = self.ended
            return True
        engine.pause()
        engine.seen |= self.bit
        return self.ended >= 0 or (timeout > 0 and self._await(task, timeout))

    def _await(self, task: Task, timeout: float | None) -> bool:
        task.blocked_on = self
        task.timed_out = False
        if self.joiners is None:
            self.joiners = []
        self.joiners.append(task)
        self.engine.block(task, timeout)
        return not task.timed_out

    def alive(self) -> bool:
        """Whether it still runs."""
        self.engine.current.doing = f"looks whether {self.name} is alive"
        self.engine.pause()
        self.engine.seen |= self.bit
        return self.ended < 0

    def expire_wait(self) -> None:
        """The time limit of its wait has passed."""
        assert self.blocked_on is not None  # noqa: S101  only waits are timed
        self.blocked_on.expire(self)

    def expire(self, task: Task) -> None:
        """`task` joins no longer: its time is up."""
        assert self.joiners is not None  # noqa: S101  who waits here has put itself in
        self.joiners.remove(task)
        self.engine.ready.append(task)
