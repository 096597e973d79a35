"""A controlled run in words: every step with what it did, every decision with what else there was.

Slow, and therefore apart from the plain objects: schedules are explored without a trace, and the one that
matters is run again with these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_rules import WAKE_UP
from migemu.threads.controlled_sync import ControlledCondition, ControlledLock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from migemu.threads.api import Lock
    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task


@dataclass(frozen=True, slots=True)
class Step:
    """What one thread did between two scheduling points."""

    number: int
    thread: str
    did: str
    """The operation it began with: ``takes BQL``."""

    notes: tuple[str, ...]
    """What happened in it, in order: points with their fields, notifications, faults."""

    now: float
    """Virtual time in seconds."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A place where more than one thing could happen."""

    index: int
    step: int
    """The step it begins, or is part of."""

    kind: str
    """``thread`` for who runs next, else the kind of option."""

    choice: int
    menu: tuple[str, ...]
    """What could be chosen, in words; the first is the native order."""

    about: str
    """Whose order is decided: the thread that would go on, or what the option is about."""


class Recorder:
    """Collects the trace of one run."""

    def __init__(self, engine: Engine) -> None:
        self.steps: list[Step] = []
        self.decisions: list[Decision] = []
        self._notes: list[str] = []
        self._doing: dict[int, str] = {}
        self._engine = engine
        self.telling: ControlledCondition | None = None

    def note(self, text: str) -> None:
        """Something happened in the running step."""
        engine = self._engine
        if not (engine.building or engine.ended or engine.over):  # what comes after the end did not happen
            self._notes.append(text)

    def close(self, task: Task, number: int) -> None:
        """The running step of `task` has ended; it stands before its next one."""
        did = self._doing.get(task.tid, "starts")
        self.steps.append(Step(number, task.name, did, tuple(self._notes), self._engine.now))
        self._notes.clear()
        self._doing[task.tid] = task.doing

    def close_broken(self) -> None:
        """The run ended in the middle of a step."""
        if self._notes or (self._engine.failure and self._engine.failure[0] == "exception"):
            self.close(self._engine.current, self._engine.steps)


class Narrator:
    """Takes given decisions, then 0, and records each with its menu."""

    def __init__(self, recorder: Recorder, engine: Engine, decisions: Sequence[int]) -> None:
        self._recorder = recorder
        self._engine = engine
        self._decisions = decisions

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """Who runs next."""
        tasks = ready if current is None else [current, *ready]
        about = current.name if current is not None else ""
        return self._take("thread", tuple(f"{task.name} {task.doing}" for task in tasks), about)

    def option(self, kind: str, options: int, label: str, /) -> int:
        """Which way the running step takes."""
        who = self._engine.current.name
        telling = self._recorder.telling
        if kind == WAKE_UP and telling is not None:
            menu = [f"{who} wakes {waiter.name} from {label}" for waiter in telling.waiters]
        else:
            menu = [f"no {kind}", *(f"{kind} {label}{_way(way, options)}" for way in range(1, options))]
            menu[1:] = [f"{who} meets {fault}" for fault in menu[1:]]
        choice = self._take(kind, tuple(menu), label)
        if choice and kind != WAKE_UP:
            self._recorder.note(menu[choice].removeprefix(f"{who} "))
        return choice

    def _take(self, kind: str, menu: tuple[str, ...], about: str) -> int:
        decisions = self._recorder.decisions
        index = len(decisions)
        choice = self._decisions[index] if index < len(self._decisions) else 0
        if choice >= len(menu):
            self._engine.diverge(choice, len(menu))
        decisions.append(Decision(index, self._engine.steps, kind, choice, menu, about))
        return choice


def _way(way: int, options: int) -> str:
    """Which of several faults of a kind, where there are several."""
    return f" ({way} of {options - 1})" if options > 2 else ""


class TracedLock(ControlledLock):
    """A lock that says what is done with it."""

    __slots__ = ("recorder",)

    def __init__(self, engine: Engine, name: str, bit: int, recorder: Recorder) -> None:
        super().__init__(engine, name, bit)
        self.recorder = recorder

    def __enter__(self) -> Self:
        self.engine.current.doing = f"takes {self.name}"
        return super().__enter__()

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; False when `timeout` seconds passed without getting it."""
        limit = "" if timeout is None else f" within {timeout:g} s"
        self.engine.current.doing = f"takes {self.name}{limit}"
        taken = super().acquire(timeout)
        if not taken:
            self.recorder.note(f"does not get {self.name}")
        return taken

    def release(self) -> None:
        """Give the lock back."""
        self.engine.current.doing = f"goes on after releasing {self.name}"
        super().release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.release()


class TracedCondition(ControlledCondition):
    """A condition that says what is done with it."""

    __slots__ = ("recorder",)

    def __init__(self, engine: Engine, lock: ControlledLock, name: str, recorder: Recorder) -> None:
        super().__init__(engine, lock, name)
        self.recorder = recorder

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, sleep until notified, take it again; False when `timeout` passed."""
        limit = "" if timeout is None else f" for at most {timeout:g} s"
        self.recorder.note(f"waits on {self.name}{limit}")
        self.engine.current.doing = f"comes back from waiting on {self.name}"
        return super().wait(timeout)

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` waiters; which ones is a decision."""
        self.recorder.telling = self
        super().notify(n)

    def rouse(self, choice: int) -> None:
        """A waiter is notified."""
        self.recorder.note(f"wakes {self.waiters[choice].name} from {self.name}")
        super().rouse(choice)

    def tell(self) -> None:
        """Somebody notifies."""
        super().tell()
        if not self.waiters:
            self.recorder.note(f"notifies {self.name}, on which nobody waits")


class TracedThreads(ControlledThreads):
    """The seam of a run that is recorded."""

    __slots__ = ("recorder",)

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        super().__init__(engine)
        self.recorder = recorder

    def lock(self, name: str) -> TracedLock:
        """A new lock."""
        return TracedLock(self.engine, name, self.bit(name), self.recorder)

    def condition(self, lock: Lock, name: str) -> TracedCondition:
        """A new condition over `lock`."""
        return TracedCondition(self.engine, self.own(lock, name), name, self.recorder)

    def spawn(self, name: str, target: Callable[[], None]) -> Task:
        """Start a thread; it may take over at once."""
        self.recorder.note(f"spawns {name}")
        self.engine.current.doing = f"goes on after spawning {name}"
        return super().spawn(name, target)

    def sleep(self, seconds: float) -> None:
        """Sleep on the virtual clock; a negative or zero time is only a scheduling point."""
        self.engine.current.doing = f"goes on after sleeping {seconds:g} s"
        super().sleep(seconds)

    def point(self, event: str, /, **fields: object) -> None:
        """Tell the listeners and the record; another thread may take over where the rules say so."""
        self.recorder.note(" ".join([event, *(f"{name}={value}" for name, value in fields.items())]))
        self.engine.current.doing = f"goes on after {event}"
        super().point(event, **fields)

    def turn(self) -> None:
        """A scheduling point of the environment."""
        self.engine.current.doing = "takes its turn"
        super().turn()

    def touch(self, name: str, *, write: bool = True) -> None:
        """The running thread is about to use `name`, which is shared without a lock."""
        self.engine.current.doing = f"{'changes' if write else 'looks at'} {name}"
        super().touch(name, write=write)
