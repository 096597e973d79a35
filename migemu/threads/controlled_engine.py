"""The engine of a controlled run: one step at a time.

A *step* of a thread runs from one scheduling point to the next: it begins with the operation the thread
stood before (take a lock, come back from a wait) and goes on to the next one. Between two steps another
thread may take over; where more than one could, that is a decision. Decision 0 is the native order: the
running thread goes on until it blocks, then the one that has waited longest runs.

There is no scheduler loop: the thread that stops picks its successor and switches to it, so a thread that
goes on costs no switch at all. The clock moves only when nobody can run, to the earliest timer.

Each step has a footprint, two sets of objects as bits: what it may have changed and what it only looked
at. Two steps whose footprints do not clash commute; the search builds on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from migemu.errors import InvariantError, MigemuError, ScheduleError
from migemu.threads.controlled_decider import NEVER, Chooser, Decider, Sleepers
from migemu.threads.controlled_task import Task
from migemu.threads.controlled_workers import Abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.threads.controlled_rules import Rules
    from migemu.threads.controlled_sync import ControlledLock

StepLog = list[tuple[int, int, int, int, int, int]]
"""Per step: thread, changed, looked at, lock it began with, what enabled it, steps before the clock moved."""


class StepRecorder(Protocol):
    """Writes a trace."""

    def close(self, task: Task, number: int) -> None:
        """The running step of `task` has ended."""
        ...


class Check:
    """An invariant of one run.

    Attributes:
        name: of the invariant.
        question: None says that it holds.
        mask: the objects it looks at; -1 for all.
        bit: its own: steps that touch what it looks at clash.
        locks: that guard what it looks at: their holders change that without touching the lock.
    """

    __slots__ = ("bit", "locks", "mask", "name", "question")

    def __init__(self, name: str, question: Callable[[], str | None]) -> None:
        self.name = name
        self.question = question
        self.mask = -1
        self.bit = 0
        self.locks: list[ControlledLock] = []

    def concerns(self, foot: int, task: Task) -> bool:
        """Whether a step of `task` with this footprint may have changed the answer."""
        if self.mask < 0 or foot & self.mask:
            return True
        return any(lock.owner is task for lock in self.locks)


class Engine(Decider):
    """Runs one controlled program after the other; keeps what is worth keeping between them.

    Attributes:
        base: the first step that is new: invariants are checked and steps logged from there on.
        alert: the first step whose end needs a closer look.
        asking: an invariant looks at the program, or its run is over: looking is no step of it.
        asleep: what `sleep` becomes when the step `base` ends.
        log: of the steps from `base` on, or None.
        recorder: writes a trace, if one is wanted.
    """

    __slots__ = ("alert", "asking", "asleep", "base", "building", "checks", "log", "recorder")

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.checks: list[Check] = []
        self.building = False
        self.asking = False
        self.recorder: StepRecorder | None = None

    def run(
        self,
        build: Callable[[], object],
        script: Sequence[int] = (),
        chooser: Chooser | None = None,
        *,
        base: int = 0,
        asleep: Sleepers | None = None,
        log: StepLog | None = None,
    ) -> None:
        """Run the program that `build` sets up until nothing can go on; :meth:`abandon` has to follow.

        Args:
            build: spawns the first threads; must not block.
            script: the decisions to take first.
            chooser: takes the later ones; None takes 0.
            base: the first new step.
            asleep: threads asleep during the step `base`.
            log: where to log steps.
        """
        self.follow(script, chooser)
        self.base, self.asleep, self.log = base, asleep, log
        self.checks = []
        self.asking = False
        self.enter()
        try:
            self._build(build)
            first = self.next()
            if first is not None:
                self.carry(first)
        except Abandoned:
            pass
        except BaseException:
            self.abandon()
            raise
        self.asking = True

    def _build(self, build: Callable[[], object]) -> None:
        """Set the program up, as a thread of its own whose steps do not count."""
        self.alert = NEVER
        self.building = True
        self.current = Task(self, "build", _nothing, -1, 0)
        build()
        self.building = False
        self.steps = 0
        self.foot = self.seen = self.took = 0
        self.ready.extend(self.tasks)
        self.alert = min(self.base, self.rules.max_steps)

    def spawn(self, name: str, target: Callable[[], None]) -> Task:
        """A new thread, able to run from now on."""
        names = self.names
        key = names.unique(self.current.tid, name)
        task = Task(self, name, target, names.thread(key), names.bit(key))
        self.tasks.append(task)
        self.live += 1
        if not self.building:
            task.enabler = self.steps
            self.ready.append(task)
        return task

    def pause(self) -> None:
        """A scheduling point: the running thread could go on, another one may take over."""
        task = self.current
        step = self.steps
        self.steps = step + 1
        if step >= self.alert:
            self.close(task, step)
        self.foot = self.seen = self.took = 0
        if self.ready or self.sleep:
            choice = self.decide(task)
            if choice:
                self.yield_to(choice, task)

    def block(self, task: Task, timeout: float | None = None) -> None:
        """The running thread cannot go on; returns when it is its turn again."""
        if self.over or self.building:
            self._refuse_to_block()
        task.since = self.steps
        if timeout is not None:
            self.arm(task, timeout)
        step = self.steps
        self.steps = step + 1
        if step >= self.alert:
            self.close(task, step)
        self.foot = self.seen = self.took = 0
        following = self.next()
        if following is None:
            self.main.switch()
        elif following is not task:
            self.carry(following)
        task.blocked_on = None
        task.ticket = 0
        if task.due is not None:
            self.arrive_late(task)

    def _refuse_to_block(self) -> None:
        if self.over:
            raise Abandoned
        raise ScheduleError("what builds a system must not wait: spawn a thread that does")

    def finish(self, task: Task) -> Task | None:
        """`task` has ended: wake who waits for that, and pick the next."""
        if self.over:
            raise Abandoned
        step = task.ended = self.steps
        self.foot |= task.bit
        self.live -= 1
        for joiner in task.joiners or ():
            joiner.ticket = 0
            joiner.enabler = step
            self.ready.append(joiner)
        self.steps = step + 1
        if step >= self.alert:
            self.close(task, step)
        self.foot = self.seen = self.took = 0
        return self.next()

    def failed(self, task: Task, error: Exception) -> None:
        """`task` raised."""
        if self.over:
            return
        if isinstance(error, InvariantError):
            self.fail("invariant", task, error)
        else:
            told = str(error) if isinstance(error, MigemuError) else f"{type(error).__name__}: {error}"
            wrapped = ScheduleError(f"{task.name} ended by an exception: {told}")
            wrapped.__cause__ = error
            self.fail("exception", task, wrapped)

    def close(self, task: Task, step: int) -> None:
        """The end of a step that is new: record and log it, ask the invariants, wake what it clashes with."""
        if self.recorder is not None:
            self.recorder.close(task, step)
        if step >= self.rules.max_steps:
            self.stop("steps")
        foot = self.foot
        for check in self.checks:
            if check.concerns(foot, task):
                foot |= check.bit
                self._ask(check)
        if self.log is not None:
            self.log.append((task.tid, foot, self.seen, self.took, task.enabler, self.fence))
            if step == self.base and self.asleep:
                self.sleep = self.asleep
            if self.sleep:
                self._stir(foot, self.seen)

    def _ask(self, check: Check) -> None:
        """Put an invariant's question."""
        self.asking = True
        try:
            wrong = check.question()
            error = InvariantError(wrong, invariant=check.name) if wrong else None
        except InvariantError as raised:
            error = raised
        self.asking = False
        if error is not None:
            self.checks = []
            self.fail("invariant", self.current, error)

    def _stir(self, foot: int, seen: int) -> None:
        """Wake the sleeping threads whose next step clashes with the one that has just ended."""
        both = foot | seen
        self.sleep = {tid: step for tid, step in self.sleep.items() if not (step[0] & both or step[1] & foot)}


def _nothing() -> None:
    """What a thread does that only stands for the builder of a system."""
