"""A failing schedule for people: what broke, who waits for whom, the few steps that matter, the token."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from migemu.errors import ScheduleError
from migemu.lab.explore.narrate import narrate, say
from migemu.lab.explore.tokens import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.explore.narrate import Narrative
    from migemu.lab.explore.outcome import Failure
    from migemu.lab.explore.runner import Runner
    from migemu.lab.explore.shrink import Shrunk
    from migemu.threads.controlled_trace import Decision, Step

SHOWN = 6
"""Steps told of one stretch."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One place where the schedule leaves the native order."""

    step: int
    happens: str
    """What happens instead."""

    skips: str
    """What the native order would have done."""


@dataclass(frozen=True, slots=True)
class Report:
    """A failure, told."""

    kind: str
    message: str
    invariant: str | None
    waits: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    last: str
    """The step in which it broke, or after which nothing could go on."""

    leaves: str
    """Where the schedule leaves the passing order."""

    shrunk: str
    token: str

    def lines(self, command: str = "migemu replay") -> list[str]:
        """As text; `command` is what the token is given to."""
        deviations = [
            f"  {number}. step {deviation.step}: {deviation.happens}\n     instead of: {deviation.skips}"
            for number, deviation in enumerate(self.deviations, 1)
        ]
        return [
            self.message,
            *(["who waits:", *(f"  {wait}" for wait in self.waits)] if self.waits else []),
            f"schedule: {self.shrunk}",
            *deviations,
            f"  then: {self.last}",
            f"leaves the passing order: {self.leaves}",
            f"replay: {command} {self.token}",
        ]

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "kind": self.kind,
            "message": self.message,
            "invariant": self.invariant,
            "waits": list(self.waits),
            "deviations": [
                {"step": one.step, "happens": one.happens, "skips": one.skips} for one in self.deviations
            ],
            "last": self.last,
            "leaves": self.leaves,
            "token": self.token,
        }


def report(runner: Runner, shrunk: Shrunk, scenario: str) -> Report:
    """Run the shrunk schedule once more and tell it.

    Raises:
        ScheduleError: it does not fail any more.
    """
    told = narrate(runner, shrunk.decisions)
    failure = told.failure
    if failure is None:
        raise ScheduleError("the schedule does not fail any more: the system or the rules are not the same")
    native = narrate(runner, ())
    deviations = tuple(_deviation(decision, told.steps) for decision in told.decisions if decision.choice)
    return Report(
        kind=failure.kind,
        message=str(failure.error),
        invariant=failure.invariant,
        waits=failure.waits,
        deviations=deviations,
        last=_last(told),
        leaves=_leaves(told, native.failure),
        shrunk=_summary(shrunk),
        token=encode(shrunk.decisions, scenario, runner.engine.rules),
    )


def _last(told: Narrative) -> str:
    """The step in which it broke."""
    if told.ended == "stuck" or not told.steps:
        return "nobody can go on"
    return say(told.steps[-1])


def _deviation(decision: Decision, steps: Sequence[Step]) -> Deviation:
    """What happens at `decision`, and what the native order would have done."""
    skipped = decision.menu[0]
    if decision.kind != "thread":
        return Deviation(decision.step, decision.menu[decision.choice], skipped)
    happens = _stretch(steps[decision.step :]) or decision.menu[decision.choice]
    return Deviation(decision.step, happens, skipped)


def _stretch(steps: Sequence[Step]) -> str:
    """What the thread of the first step does until another one takes over."""
    own = list(takewhile(lambda step: step.thread == steps[0].thread, steps))
    told = [say(step) if number == 0 else say(step, thread=False) for number, step in enumerate(own[:SHOWN])]
    more = [f"and {len(own) - SHOWN} more steps"] if len(own) > SHOWN else []
    return "; ".join(told + more)


def _leaves(told: Narrative, native: Failure | None) -> str:
    """The first place where the failing schedule differs from one that passes."""
    if native is not None:
        return f"it does not: the native order fails as well ({native.error})"
    first = next(decision for decision in told.decisions if decision.choice)
    return f"at decision {first.index}, before step {first.step}, where {first.menu[0]} comes next"


def _summary(shrunk: Shrunk) -> str:
    count, before = shrunk.deviations, sum(1 for choice in shrunk.original if choice)
    told = f"{count} deviation{'s' * (count != 1)} from the native order"
    if before > count:
        told += f", shrunk from {before} in {shrunk.tries} tries"
    return f"{told}; no schedule with fewer fails this way" if shrunk.minimal else told
