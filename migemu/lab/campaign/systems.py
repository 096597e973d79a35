"""What a campaign explores, named so that another machine understands: a destination, a bug."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.lab import bugs
from migemu.lab.explore.shards import Spec
from migemu.lab.system import Setup
from migemu.scenario import dump_toml, loads

if TYPE_CHECKING:
    from migemu.lab.bugs.bug import Subject
    from migemu.lab.explore import Rules
    from migemu.scenario import Scenario


def destination(scenario: str) -> Subject:
    """Production's destination under a scenario.

    Args:
        scenario: TOML; the environment of the machine that reads it does not matter.
    """
    return Setup(loads(scenario, "the campaign's scenario", environ={}))


def bug(name: str, *, correct: bool = False) -> Subject:
    """A catalogued bug's broken variant, or its correct one."""
    found = bugs.get(name)
    return found.correct if correct else found.broken


def of_scenario(scenario: Scenario, strategy: str, depth: int, rules: Rules) -> Spec:
    """The exploration of a destination."""
    return _spec("destination", {"scenario": dump_toml(scenario)}, strategy, depth, rules)


def of_bug(name: str, strategy: str, depth: int, *, correct: bool = False) -> Spec:
    """The exploration of a bug, under the rules it is hunted by."""
    return _spec("bug", {"name": name, "correct": correct}, strategy, depth, bugs.get(name).hunt.rules)


def _spec(name: str, arguments: dict[str, Any], strategy: str, depth: int, rules: Rules) -> Spec:
    return Spec(f"{__name__}:{name}", arguments, strategy, depth, rules)
