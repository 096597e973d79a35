"""Why a controlled run came to no end: deadlock, lost wake-up, or a wait without an end.

Three things look alike from outside, a program that stands still:

* **deadlock**: threads wait in a ring, each for what the next one holds (a lock) or is (a join);
* **lost wake-up**: a thread sleeps on a condition that was notified before, and woken now it would go on:
  what it waits for has happened. It is *tried*: the engine wakes the waiter and looks whether it waits again;
* **wait without end**: what the thread waits for has not happened and nobody is left to do it, or only
  timers go on for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from migemu.threads.controlled_decider import NEVER
from migemu.threads.controlled_sync import ControlledCondition, ControlledLock
from migemu.threads.controlled_task import Clock, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.threads.controlled_engine import Engine

Kind = Literal["deadlock", "lost-wakeup", "wait-without-end"]


@dataclass(frozen=True, slots=True)
class Wait:
    """One thread that waits: for what, and held by whom where that can be said."""

    thread: str
    what: str
    holder: str | None = None
    note: str = ""

    def __str__(self) -> str:
        held = f", held by {self.holder}" if self.holder else ""
        return f"{self.thread} waits {self.what}{held}{self.note}"


@dataclass(frozen=True, slots=True)
class Stuck:
    """What a run that cannot end died of."""

    kind: Kind
    summary: str
    waits: tuple[Wait, ...]


def diagnose(engine: Engine) -> Stuck:
    """Look at a run that ended ``stuck``, or by its bound on ``steps`` or ``time``; before `abandon`."""
    waits = waits_of(engine)
    ring = find_ring(engine.tasks)
    if ring:
        told = "; ".join(str(describe(task)) for task in ring)
        return Stuck("deadlock", f"deadlock: {told}", waits)
    told = _endless(engine) if engine.ended != "stuck" else _forlorn(waits)
    dreamer = _find_dreamer(engine)
    if dreamer is not None and dreamer.told:
        return Stuck("lost-wakeup", f"lost wake-up: {dreamer.wait}; woken now it would go on", waits)
    if dreamer is not None:
        told += f"; woken now {dreamer.wait.thread} would go on: a notification may be missing"
    return Stuck("wait-without-end", f"wait without end: {told}", waits)


def waits_of(engine: Engine) -> tuple[Wait, ...]:
    """All threads that wait for something."""
    return tuple(describe(task) for task in engine.tasks if _waits(engine, task))


def _waits(engine: Engine, task: Task) -> bool:
    """Whether `task` cannot go on."""
    return task.blocked_on is not None and task.ended < 0 and task not in engine.ready


def describe(task: Task) -> Wait:
    """What `task` waits for, in words."""
    obstacle = task.blocked_on
    if isinstance(obstacle, ControlledLock):
        owner = obstacle.owner
        ended = " (which has ended)" if owner is not None and owner.ended >= 0 else ""
        return Wait(task.name, f"for {obstacle.name}", owner.name if owner else None, ended)
    if isinstance(obstacle, ControlledCondition):
        return Wait(task.name, f"on {obstacle.name}", None, _history(obstacle, task))
    if isinstance(obstacle, Task):
        return Wait(task.name, f"for the end of {obstacle.name}")
    assert isinstance(obstacle, Clock)  # noqa: S101  there is nothing else to wait for
    return Wait(task.name, "for the clock")


def _history(condition: ControlledCondition, task: Task) -> str:
    """When the condition was notified last, compared with when the wait began."""
    if not condition.told_by:
        return " (never notified)"
    when = "before this wait" if condition.told_at < task.since else "during this wait, for another waiter"
    return f" (last notified by {condition.told_by.name}, {when})"


def find_ring(tasks: Sequence[Task]) -> list[Task]:
    """Threads that wait for each other in a ring, or none."""
    for start in tasks:
        path: list[Task] = []
        task: Task | None = start
        while task is not None and task not in path:
            path.append(task)
            task = _waits_for(task)
        if task is not None:
            return path[path.index(task) :]
    return []


def _waits_for(task: Task) -> Task | None:
    """The thread that would have to do something before `task` can go on, if that is one thread."""
    obstacle = task.blocked_on
    if task.ended >= 0:
        return None
    if isinstance(obstacle, ControlledLock):
        return obstacle.owner
    return obstacle if isinstance(obstacle, Task) else None


class Dreamer(NamedTuple):
    """A waiter that would go on if it were woken."""

    told: bool
    """Whether its condition has ever been notified."""

    wait: Wait


def _find_dreamer(engine: Engine) -> Dreamer | None:
    """The first of them, those that have been told before the others."""
    sleepers: list[tuple[Dreamer, Task]] = []
    for task in engine.tasks:
        condition = task.blocked_on
        if isinstance(condition, ControlledCondition) and not task.ticket:
            sleepers.append((Dreamer(condition.told > 0, describe(task)), task))
    sleepers.sort(key=lambda sleeper: not sleeper[0].told)
    return next((dreamer for dreamer, task in sleepers if nudge(engine, task)), None)


def _endless(engine: Engine) -> str:
    """A run that was cut off: what still moves, and who waits without a time limit."""
    seconds = engine.rules.max_seconds
    bound = f"{engine.steps} steps" if engine.ended == "steps" else f"{seconds:g} virtual seconds"
    stands = [str(describe(task)) for task in engine.tasks if _waits(engine, task) and not task.ticket]
    moves = [
        task.name for task in engine.tasks if task.ended < 0 and (task.ticket or not _waits(engine, task))
    ]
    waiting = f" while {'; '.join(stands)}" if stands else ""
    return f"after {bound} this still goes on: {', '.join(moves)}{waiting}"


def _forlorn(waits: Sequence[Wait]) -> str:
    return f"{'; '.join(map(str, waits))}; nobody is left to end this"


def nudge(engine: Engine, task: Task) -> bool:
    """After the end of a run: wake a waiting thread; whether it goes on instead of waiting again.

    Only that thread runs, to its next scheduling point. Nothing the run says after this can be trusted.
    """
    obstacle, ended, failure = task.blocked_on, engine.ended, engine.failure
    if obstacle is None:
        return True
    engine.script, engine.length, engine.chooser = (), 0, HandBack()
    engine.decide = engine.chooser.thread
    engine.alert, engine.sleep = NEVER, {}
    obstacle.expire(task)
    if task not in engine.ready:
        return False
    engine.ready.remove(task)
    watcher = Task(engine, "watcher", _never_runs, -1, 0)
    watcher.greenlet = engine.main
    engine.ready.insert(0, watcher)
    engine.carry(task)
    if watcher in engine.ready:
        engine.ready.remove(watcher)
    engine.ended, engine.failure = ended, failure
    return task.blocked_on is not obstacle


def _never_runs() -> None:
    """The watcher is carried by whoever nudged: switching to it is going back there."""


class HandBack:
    """Decides for the watcher, which stands first, at the first opportunity."""

    def thread(self, current: Task | None, ready: list[Task], /) -> int:  # noqa: ARG002  the watcher is first
        """The watcher runs."""
        return 0 if current is None else 1

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  nothing is decided here
        """The ordinary way."""
        return 0
