"""Runs one schedule of a system and says how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ScheduleError
from migemu.lab.explore.outcome import Failure
from migemu.lab.explore.plan import KNOWN, PRUNED, Plan, Run
from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_stuck import diagnose, waits_of
from migemu.threads.controlled_sync import ControlledLock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from migemu.lab.explore.plan import MakeSystem, System
    from migemu.threads.controlled_rules import Rules

GIVEN_UP = (PRUNED, KNOWN)
"""Ends of a run by its strategy: nothing is known of how it would have ended."""

CUT_OFF = ("stuck", "steps", "time")
"""Ends of a run that want an explanation."""


class Runner:
    """One engine, and a system made anew for each schedule.

    Attributes:
        system: of the last run.
    """

    def __init__(self, make_system: MakeSystem, rules: Rules) -> None:
        self.make_system = make_system
        self.engine = Engine(rules)
        self.system: System

    def run(self, plan: Plan, threads: ControlledThreads | None = None) -> Run:
        """Run the schedule `plan`, on `threads` if they are given."""
        engine = self.engine
        self.system = engine.subject = system = self.make_system()
        seam = ControlledThreads(engine) if threads is None else threads
        engine.run(
            lambda: system.build(seam),
            plan.script,
            plan.chooser,
            base=plan.base,
            asleep=plan.asleep,
            log=plan.log,
        )
        try:
            if engine.ended == "done" and engine.failure is None:
                run = Run(plan, "done", engine.steps, final=self._final())
            else:
                run = self._examine(plan)
        finally:
            engine.abandon()
        return run

    def _final(self) -> Hashable | None:
        """The state the system is in, before it is looked into any deeper."""
        final: Callable[[], Hashable] | None = getattr(self.system, "final", None)
        return None if final is None else final()

    def _examine(self, plan: Plan) -> Run:
        engine = self.engine
        run = Run(plan, engine.ended, engine.steps)
        if engine.ended == "stuck" or engine.ended in GIVEN_UP:
            run.blocked = [
                (task.tid, task.blocked_on.bit, task.enabler)
                for task in engine.tasks
                if isinstance(task.blocked_on, ControlledLock) and task.blocked_on.owner is not None
            ]
        if engine.ended not in GIVEN_UP:
            run.final = self._final()
            run.failure = self._failure()
        return run

    def _failure(self) -> Failure | None:
        engine = self.engine
        if engine.failure is not None:
            kind, task, error = engine.failure
            waits = tuple(str(wait) for wait in waits_of(engine))
            return Failure(kind, error, (), task.name if task else None, waits, engine.steps)
        if engine.ended not in CUT_OFF:
            return None
        steps = engine.steps
        stuck = diagnose(engine)
        waits = tuple(map(str, stuck.waits))
        return Failure(stuck.kind, ScheduleError(stuck.summary), (), None, waits, steps)
