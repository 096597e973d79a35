"""Decisions of a controlled run: who runs next, which way a step takes, when the clock moves.

A decision is a small number; 0 is the native order. The first decisions of a run come from its script, the
rest from its chooser, and where there is none they are 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn, Protocol

from migemu.errors import MigemuError, ScheduleError
from migemu.threads.controlled_names import Names
from migemu.threads.controlled_rules import EARLY_TIMEOUT, SPURIOUS_WAKEUP, Rules
from migemu.threads.controlled_task import Clock, Task
from migemu.threads.controlled_timers import Timers
from migemu.threads.controlled_workers import Abandoned, Machine

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER = 1 << 62
"""A number no run reaches."""

EVERY_STEP = 1
"""The bit of an object that every step touches."""

Sleepers = dict[int, tuple[int, int]]
"""Threads whose next step need not be tried, with what that step changes and looks at."""


class Chooser(Protocol):
    """Decides what the script leaves open."""

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """Who runs next: 0 is `current`, if it can go on, then `ready` in the order of waiting."""
        ...

    def option(self, kind: str, options: int, label: str, /) -> int:
        """Which of `options` ways the running step takes; 0 is the ordinary one."""
        ...


class Decider(Machine):
    """Who goes next.

    Attributes:
        ready: the threads that could run, but for the current one; who waits longest is first.
        steps: how many have ended in this run.
        fence: how many had ended when the clock moved last.
        foot: objects the current step may have changed; seen: looked at; took: the lock it began with.
        sleep: threads whose next step need not be tried here.
        decide: called with the running thread, if it can go on, and `ready`; says who runs next.
        ended: why the run is over: ``done``, ``stuck``, ``steps``, ``time``, ``failure`` or ``pruned``.
        failure: what broke first: kind, thread, error.
    """

    __slots__ = (
        "at",
        "chooser",
        "clock",
        "clock_bit",
        "decide",
        "early",
        "ended",
        "failure",
        "faults_left",
        "fence",
        "foot",
        "length",
        "live",
        "names",
        "now",
        "pause_at_release",
        "ready",
        "rules",
        "script",
        "seen",
        "sleep",
        "spurious",
        "steps",
        "timers",
        "took",
    )

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules
        self.names = Names()
        assert self.names.bit("every step") == EVERY_STEP  # noqa: S101  the first one made
        self.clock_bit = self.names.bit("the clock")
        self.early = EARLY_TIMEOUT in rules.faults
        self.spurious = SPURIOUS_WAKEUP in rules.faults
        self.pause_at_release = rules.releases
        self.clock = Clock(self)
        self.timers = Timers()
        self.ready: list[Task] = []
        self.follow((), None)

    def follow(self, script: Sequence[int], chooser: Chooser | None) -> None:
        """Begin anew, with these decisions."""
        self.script, self.length, self.chooser = script, len(script), chooser
        # Who decides is looked up once a run: every decision asks.
        self.decide = self._from_script if script or chooser is None else chooser.thread
        self.at = self.steps = self.fence = self.live = 0
        self.foot = self.seen = self.took = 0
        self.now = 0.0
        self.timers.clear()
        self.ready.clear()
        self.names.used.clear()
        self.sleep: Sleepers = {}
        self.ended = ""
        self.failure: tuple[str, Task | None, MigemuError] | None = None
        budget = self.rules.fault_budget
        self.faults_left = NEVER if budget is None else budget

    def faults_had(self) -> int:
        """How many faults this run has had so far."""
        budget = self.rules.fault_budget
        return (NEVER if budget is None else budget) - self.faults_left

    def _from_script(self, task: Task | None, ready: list[Task]) -> int:
        """The next decision who runs: from the script, then the chooser's."""
        at = self.at
        self.at = at + 1
        if at < self.length:
            return self.script[at]
        return 0 if self.chooser is None else self.chooser.thread(task, ready)

    def option(self, kind: str, options: int, label: str) -> int:
        """A decision inside a step: which way it takes."""
        at = self.at
        self.at = at + 1
        if at < self.length:
            choice = self.script[at]
            if choice >= options:
                self.diverge(choice, options)
            return choice
        return 0 if self.chooser is None else self.chooser.option(kind, options, label)

    def choose(self, kind: str, options: int, label: str) -> int:
        """A fault, if the rules know this kind and there is one left to have; 0 is none."""
        if kind not in self.rules.faults or options < 2 or not self.faults_left:
            return 0
        # That the budget is shared makes no clash: as many faults in another order fit it just as well.
        choice = self.option(kind, options, label)
        if choice:
            self.faults_left -= 1
        return choice

    def yield_to(self, choice: int, task: Task) -> None:
        """Let another thread take over from the running one."""
        ready = self.ready
        if choice > len(ready):
            self.diverge(choice, len(ready) + 1)
        self.current = following = ready.pop(choice - 1)
        ready.append(task)
        (following.greenlet or self.carrier(following)).switch()

    def next(self) -> Task | None:
        """Who runs now that the last one has stopped; None when the run is over."""
        ready = self.ready
        while not ready:
            if not self._advance():
                self.ended = self.ended or ("stuck" if self.live else "done")
                return None
        if len(ready) == 1 and not self.sleep:
            return ready.pop()
        choice = self.decide(None, ready)
        if choice >= len(ready):
            self.diverge(choice, len(ready))
        return ready.pop(choice)

    def _advance(self) -> bool:
        """Nobody can run: move the clock to the earliest timer; False when there is none."""
        due = self.timers.next_due()
        if due is None:
            return False
        if due > self.rules.max_seconds:
            self.ended = "time"
            return False
        self.now = max(self.now, due)
        self.fence = self.steps
        for task in self.timers.expire(self.now):
            task.enabler = -1 - self.steps
            task.expire_wait()
        return True

    def arm(self, task: Task, timeout: float) -> None:
        """Limit the wait that `task` is about to begin to `timeout` seconds; infinite is no limit."""
        if timeout == math.inf:
            return
        due = self.now + max(timeout, 0.0)
        if self.early and self._early(task):
            task.due = due
            task.timed_out = True
            task.expire_wait()
        else:
            self.timers.arm(task, due)

    def _early(self, task: Task) -> bool:
        self.seen |= self.clock_bit
        return self.choose(EARLY_TIMEOUT, 2, task.name) == 1

    def arrive_late(self, task: Task) -> None:
        """`task` comes back from a wait whose time limit was decided to be over: so late is it now."""
        assert task.due is not None  # noqa: S101  the caller has looked
        self.now = max(self.now, task.due)
        self.foot |= self.clock_bit
        task.due = None

    # The end of a run, in the middle of a step.

    def fail(self, kind: str, task: Task | None, error: MigemuError) -> None:
        """Something broke; the run ends here unless the rules want to see the rest of it."""
        if self.failure is None:
            self.failure = (kind, task, error)
        if not self.rules.keep_going:
            self.stop("failure")

    def diverge(self, choice: int, options: int) -> NoReturn:
        """The script asks for what there is not: it belongs to another program."""
        place = f"decision {self.at} of the schedule is {choice}, but there are only {options} ways to go on"
        error = ScheduleError(f"{place}: the schedule was made for another system or other rules")
        self.failure = ("divergence", None, error)
        self.stop("failure")

    def stop(self, reason: str) -> NoReturn:
        """The run is over, whatever the running thread was about to do."""
        self.ended = reason
        self.main.switch()
        raise Abandoned
