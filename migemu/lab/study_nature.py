"""Failures that are no accident: a design may hang or break an invariant by its nature.

The debate refuted some designs by showing how they fail. When a comparison meets such a failure it has
reproduced a finding, not found a bug, and says which invariant was broken. A failure of any other kind is
a failure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from migemu.handoff.choice import for_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migemu.observe.model import Result

WAITS_FOR_ITSELF = {
    "recv-loads": "receive threads wait for buffers that stand behind what others of them hold (B31)",
}
"""Designs that can hang, each with how."""

TOO_EARLY = "a config may be loaded before the interrupt controller is in (B2)"

_NAMED = re.compile(r"invariant ([a-z-]+)")


class Failure(NamedTuple):
    """Why a run failed."""

    invariant: str
    """The invariant that was broken; empty where none was."""
    reason: str
    """The first cause, one line."""
    natural: str = ""
    """Why the design had to fail sooner or later; empty where it had not."""


def failure(result: Result) -> Failure | None:
    """What went wrong in a run; None when nothing did."""
    if result.verdict == "completed":
        return None
    broken = broken_invariants(result)
    expected = weaknesses(result.scenario.effective)
    natural = next((name for name in broken if name in expected), None)
    reason = result.reasons[0] if result.reasons else f"exit code {result.exit_code}"
    if natural is not None:
        return Failure(natural, reason, expected[natural])
    return Failure(broken[0] if broken else "", reason)


def broken_invariants(result: Result) -> list[str]:
    """Names of the invariants that a failed run broke: found in its events, or raised by its code."""
    raised = [name for reason in result.reasons for name in _NAMED.findall(reason)]
    found = [invariant.name for invariant in result.broken()]
    return list(dict.fromkeys([*raised, *found]))


def weaknesses(scenario: Mapping[str, Any]) -> dict[str, str]:
    """The invariants that an effective scenario's design may break by its nature, with how."""
    design = for_machine(str(scenario.get("handoff")), str(scenario.get("machine"))).design
    known = {"ends": WAITS_FOR_ITSELF[design.name]} if design.name in WAITS_FOR_ITSELF else {}
    needed = scenario.get("platform", {}).get("needs_interrupt_controller")
    if needed and not design.config_after_iterables:
        known["config-after-iterables"] = TOO_EARLY
    return known
