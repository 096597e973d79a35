"""Runs a schedule again with a trace: for reports, for shrinking, and to see that nothing leaks in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from migemu.errors import ScheduleError
from migemu.lab.explore.plan import Plan
from migemu.threads.controlled_trace import Decision, Narrator, Recorder, Step, TracedThreads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.explore.outcome import Failure
    from migemu.lab.explore.runner import Runner


@dataclass(frozen=True, slots=True)
class Narrative:
    """A schedule, told."""

    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...]
    ended: str
    failure: Failure | None

    def schedule(self) -> tuple[int, ...]:
        """The decisions as numbers, without the zeros at the end."""
        return trimmed([decision.choice for decision in self.decisions])


def narrate(runner: Runner, decisions: Sequence[int]) -> Narrative:
    """Run the schedule `decisions` and write down every step.

    Raises:
        ScheduleError: a decision asks for what there is not.
    """
    recorder = Recorder(runner.engine)
    threads = TracedThreads(runner.engine, recorder)
    plan = Plan(chooser=Narrator(recorder, runner.engine, decisions))
    runner.engine.recorder = recorder
    try:
        run = runner.run(plan, threads)
    finally:
        runner.engine.recorder = None
    recorder.close_broken()
    if run.failure is not None and run.failure.kind == "divergence":
        raise run.failure.error
    told = Narrative(tuple(recorder.steps), tuple(recorder.decisions), run.ended, run.failure)
    if run.failure is None:
        return told
    return replace(told, failure=replace(run.failure, decisions=told.schedule()))


def trimmed(decisions: Sequence[int]) -> tuple[int, ...]:
    """`decisions` without the zeros at the end, which say nothing."""
    end = len(decisions)
    while end and not decisions[end - 1]:
        end -= 1
    return tuple(decisions[:end])


def require_repeatable(runner: Runner, decisions: Sequence[int]) -> None:
    """Run a schedule twice.

    Raises:
        ScheduleError: the runs differ: something besides the decisions influences the system.
    """
    first, second = narrate(runner, decisions), narrate(runner, decisions)
    if first.steps == second.steps and first.decisions == second.decisions:
        return
    raise ScheduleError(f"the system is not repeatable: {_first_difference(first, second)}")


def _first_difference(first: Narrative, second: Narrative) -> str:
    hint = "something besides the schedule leaks in (real time, random numbers, the order of a set, an id)"
    for one, other in zip(first.steps, second.steps, strict=False):
        if one != other:
            return f"step {one.number} is once «{say(one)}» and once «{say(other)}»; {hint}"
    if len(first.steps) != len(second.steps):
        count = min(len(first.steps), len(second.steps))
        return f"after step {count} one run goes on and the other does not; {hint}"
    pairs = zip(first.decisions, second.decisions, strict=False)
    index = next((one.index for one, other in pairs if one != other), 0)
    return f"decision {index} has different choices; {hint}"


def say(step: Step, *, thread: bool = True) -> str:
    """One step as one line."""
    who = f"{step.thread} " if thread else ""
    notes = f": {', '.join(step.notes)}" if step.notes else ""
    return f"{who}{step.did}{notes}"
