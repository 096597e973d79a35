"""A token's schedule on real sockets: the scenario with its rules, the destination with its gates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.errors import UsageError
from migemu.lab.bugs.real import Run, breaks, hangs, queued_over
from migemu.lab.bugs.session import MutantSession
from migemu.lab.explore import Runner, narrate
from migemu.lab.system import Setup
from migemu.lab.turn_keeper import Keeper, TurnThreads
from migemu.lab.turn_rules import SETTINGS, rules_of
from migemu.lab.turns import turns_of
from migemu.scenario import dump_toml, loads

if TYPE_CHECKING:
    from migemu.lab.bugs.real import Symptom
    from migemu.lab.explore import Failure
    from migemu.lab.explored import Owner
    from migemu.lab.turns import Turns
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

QUEUE = "queue-bounded"


@dataclass(frozen=True)
class Turned:
    """How two real processes are driven into a schedule."""

    run: Run
    turns: Turns
    rules: str
    """``[[order]]`` tables, as they stand in the scenario."""
    shows: Symptom
    """What of its failure is seen; of a schedule that passes nothing is."""
    expected: str
    """The invariant, or how it hangs; empty for a schedule that passes."""


def turned(owner: Owner) -> Turned:
    """What real processes are given for a token.

    Raises:
        UsageError: nothing of it has a counterpart there.
    """
    setup = owner.subject
    if not isinstance(setup, Setup):
        raise UsageError(f"{owner.called}: it is not a destination's order, and only that can be forced")
    if setup.traffic is not None:
        raise UsageError(f"{owner.called}: its traffic is not what a source sends, so no source can send it")
    told = narrate(Runner(setup, owner.token.rules), owner.token.decisions)
    turns = turns_of(told)
    rules = rules_of(turns, setup.scenario, setup.handoff.design)
    text = f"{dump_toml(setup.scenario)}\n{rules}"
    scenario = loads(text, setup.scenario.name, overrides=SETTINGS, environ={})
    failure = told.failure
    return Turned(
        Run(scenario, setup.parts),
        turns,
        rules,
        _symptom(failure, setup),
        "" if failure is None else failure.invariant or failure.kind,
    )


def _symptom(failure: Failure | None, setup: Setup) -> Symptom:
    if failure is None:
        return lambda _events: None
    if failure.invariant == QUEUE:
        return queued_over(int(setup.most_queued))
    return breaks(failure.invariant) if failure.invariant else hangs


class TurnSession(MutantSession):
    """A destination that takes a schedule's turns.

    Args:
        plan: which.
        scenario: already dilated.
        threads: the concurrency seam.
    """

    def __init__(self, plan: Turned, scenario: Scenario, threads: Threads) -> None:
        super().__init__(plan.run, scenario, TurnThreads(threads, Keeper(plan.turns.beats, threads)))
