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
from migemu.threads.controlled_decider import EVERY_STEP, NEVER, Chooser, Decider, Sleepers
from migemu.threads.controlled_task import Task
from migemu.threads.controlled_workers import Abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.threads.controlled_rules import Rules
    from migemu.threads.controlled_sync import ControlledCondition, ControlledLock

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
        mask: the objects it looks at.
        bit: its own: steps that touch what it looks at clash.
    """

    __slots__ = ("bit", "mask", "name", "question")

    def __init__(self, name: str, question: Callable[[], str | None], mask: int, bit: int) -> None:
        self.name = name
        self.question = question
        self.mask = mask
        self.bit = bit


class Engine(Decider):
    """Runs one controlled program after the other; keeps what is worth keeping between them.

    Attributes:
        base: the first step that is new: invariants are checked and steps logged from there on.
        alert: the first step whose end needs a closer look.
        asking: an invariant looks at the program, or its run is over: looking is no step of it.
        asleep: what `sleep` becomes when the step `base` ends.
        conditions: of this run; a list here, not at their locks, so that nothing goes round in circles.
        limit: the number of steps at which a run is cut off.
        watched: the objects that the invariants `checks` look at; `guards`: the locks among them.
        log: of the steps from `base` on, or None.
        subject: the system that runs, for who wants to look at it.
        recorder: writes a trace, if one is wanted.
    """

    __slots__ = (
        "alert",
        "asking",
        "asleep",
        "base",
        "building",
        "checks",
        "conditions",
        "guards",
        "limit",
        "log",
        "recorder",
        "subject",
        "watched",
    )

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.limit = rules.max_steps
        self.subject: object = None
        self.conditions: list[ControlledCondition] = []
        self.watch_nothing()
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
        self.watch_nothing()
        self.conditions.clear()
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
        self.alert = min(self.base, self.limit)

    def watch_nothing(self) -> None:
        """There are no invariants yet."""
        self.watched = 0
        self.checks: list[Check] = []
        self.guards: list[ControlledLock] = []

    def watch(self, check: Check, guards: Iterable[ControlledLock]) -> None:
        """Ask `check` from now on; holders of `guards` change what it looks at without touching them."""
        self.watched |= check.mask
        self.checks.append(check)
        self.guards += [lock for lock in guards if lock not in self.guards]

    def spawn(self, name: str, target: Callable[[], None]) -> Task:
        """A new thread, able to run from now on."""
        names = self.names
        task = Task(self, name, target, *names.thread(names.unique(self.current.tid, name)))
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
        ready = self.ready
        if ready or self.sleep:
            choice = self.decide(task, ready)
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
        ready = self.ready
        following = ready.pop() if len(ready) == 1 and not self.sleep else self.next()
        if following is None:
            self.main.switch()
        elif following is not task:
            self.current = following
            (following.greenlet or self.carrier(following)).switch()
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
        task.target = _nothing  # what it ran may hold on to all the rest of the system
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

    def abandon(self) -> None:
        """End the run; what threads do while they unwind (locks in ``finally``) is no step of it."""
        self.alert = NEVER
        self.chooser, self.script, self.length, self.sleep = None, (), 0, {}
        super().abandon()

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
        if step >= self.limit:
            self.stop("steps")
        foot = self.foot
        if self.watched:
            touched = foot | self.seen | EVERY_STEP
            for lock in self.guards:
                if lock.owner is task:
                    touched |= lock.bit
            if touched & self.watched:
                foot |= self._ask(touched)
        if self.log is not None:
            self.log.append((task.tid, foot, self.seen, self.took, task.enabler, self.fence))
            if step == self.base and self.asleep:
                self.sleep = self.asleep
            if self.sleep:
                self._stir(foot, self.seen)

    def _ask(self, touched: int) -> int:
        """Put the questions that a step which touched this may have another answer to; their bits."""
        bits = 0
        self.asking = True
        try:
            for check in self.checks:
                if touched & check.mask:
                    bits |= check.bit
                    wrong = check.question()
                    if wrong:
                        raise InvariantError(wrong, invariant=check.name)  # noqa: TRY301  a question may raise too
        except InvariantError as error:
            self.watched = 0
            self.asking = False
            self.fail("invariant", self.current, error)
        self.asking = False
        return bits

    def _stir(self, foot: int, seen: int) -> None:
        """Wake the sleeping threads whose next step clashes with the one that has just ended."""
        both = foot | seen
        self.sleep = {tid: step for tid, step in self.sleep.items() if not (step[0] & both or step[1] & foot)}


def _nothing() -> None:
    """What a thread does that only stands for the builder of a system."""
