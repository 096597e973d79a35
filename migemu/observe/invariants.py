"""The invariants of the house plan: what the events say, and what the running code said for itself.

Where the code checked (``invariant`` events, the only witness of lock order), its no outweighs any yes
computed afterwards, and its yes counts where nothing could be computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.observe.checks import CHECKS, Run, Verdict
from migemu.observe.model import InvariantResult

if TYPE_CHECKING:
    from migemu.observe.events import Event


def check(run: Run) -> tuple[InvariantResult, ...]:
    """Every invariant, in the house plan's order; others that the code named come last."""
    told: dict[str, list[Event]] = {name: [] for name in CHECKS}
    for event in run.index.of("invariant"):
        told.setdefault(str(event.get("name")), []).append(event)
    return tuple(_result(run, name, events) for name, events in told.items())


def _result(run: Run, name: str, told: list[Event]) -> InvariantResult:
    test = CHECKS.get(name)
    computed = Verdict(None, "") if test is None else test(run)
    no = next((event for event in told if not event.get("ok")), None)
    if no is not None:
        return InvariantResult(name=name, ok=False, detail=_place(no))
    if computed.ok is None and told:
        return InvariantResult(name=name, ok=True, detail=_place(told[-1]))
    return InvariantResult(name=name, ok=computed.ok, detail=computed.detail)


def _place(event: Event) -> str:
    device = event.get("device")
    return " ".join(filter(None, (f"device {device}:" if device else "", str(event.get("detail", "")))))
