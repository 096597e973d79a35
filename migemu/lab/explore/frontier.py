"""A depth-first search that met a bound, kept as JSON, to be taken up again later or elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from migemu.errors import ScheduleError
from migemu.lab.explore.dfs import Dfs
from migemu.lab.explore.outcome import Outcome
from migemu.threads.controlled_rules import Rules

FORMAT = 1


class Resumed(NamedTuple):
    """What :func:`migemu.lab.explore.explore` needs to go on."""

    strategy: Dfs
    rules: Rules
    so_far: Outcome


def save(strategy: Dfs, rules: Rules, outcome: Outcome, scenario: str) -> dict[str, Any]:
    """Where `strategy` stands, as JSON can hold it.

    Args:
        strategy: after an exploration that met a bound.
        rules: of that exploration.
        outcome: its counts go on from here.
        scenario: a text that is different for a different system.
    """
    return {
        "format": FORMAT,
        "scenario": scenario,
        "rules": rules.as_dict(),
        "schedules": outcome.schedules,
        "pruned": outcome.pruned,
        "steps": outcome.steps,
        "seconds": outcome.seconds,
        "search": strategy.dump(),
    }


def load(saved: Any, scenario: str) -> Resumed:
    """Take up a saved search.

    Raises:
        ScheduleError: it is of another format, or of another scenario.
    """
    if not isinstance(saved, dict) or "search" not in saved:
        raise ScheduleError("this is no frontier that --frontier kept")
    if saved.get("format") != FORMAT:
        raise ScheduleError(f"the frontier is of format {saved.get('format')}, this migemu reads {FORMAT}")
    if saved["scenario"] != scenario:
        raise ScheduleError(f"the frontier belongs to scenario {saved['scenario']}, this is {scenario}")
    outcome = Outcome(Dfs.name)
    outcome.schedules, outcome.pruned = saved["schedules"], saved["pruned"]
    outcome.steps, outcome.seconds = saved["steps"], saved["seconds"]
    return Resumed(Dfs.load(saved["search"]), Rules.from_dict(saved["rules"]), outcome)
