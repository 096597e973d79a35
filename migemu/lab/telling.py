"""A failing schedule as people read it: verdict, invariant, the order, who waits for what, the token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.errors import InvariantError
from migemu.lab.storyline import leaving, render, storyline
from migemu.lab.words import short, stuck

if TYPE_CHECKING:
    from migemu.lab.explore import Failure, Narrative

LONG = 200
"""Signs of a verdict line; who waits for what is told below it in any case."""


BYSTANDER = "session waits for the end of the migration"
"""Whoever owns the connections waits in every hang; it says nothing."""


def verdict(failure: Failure) -> str:
    """What broke, in one line."""
    error = failure.error
    if isinstance(error, InvariantError):
        return f"invariant {error.invariant} breaks: {short(_place(error))}"
    told = short(str(error))
    kind = failure.kind.replace("-", " ").replace("wakeup", "wake-up")
    return kind if len(told) > LONG else told


def _place(error: InvariantError) -> str:
    """The message without the invariant's name, which is said already, behind where it happened."""
    said = error.message.removeprefix(f"invariant {error.invariant}: ")
    where = f"{error.device}: " if error.device and error.device not in said else ""
    return where + said


def lines(told: Narrative, token: str, command: str, note: str = "") -> list[str]:
    """A schedule that fails.

    Args:
        told: the schedule, run with a trace.
        token: it replays it.
        command: that is given the token.
        note: on how the schedule was found and shrunk.
    """
    failure = told.failure
    assert failure is not None  # noqa: S101  the caller has one
    waits = [f"  {wait}" for wait in who_waits(failure)]
    order = storyline(told)
    return [
        verdict(failure),
        *(["who waits for what:", *waits] if waits else []),
        f"the order{f' ({note})' if note else ''}:",
        *render(order),
        f"leaves the passing order: {leaving(order)}",
        f"replay: {command} {token}",
    ]


def who_waits(failure: Failure) -> list[str]:
    """Who cannot go on, and why; only of a hang: where a rule breaks, others may well be waiting."""
    if failure.invariant:
        return []
    waits = [stuck(wait) for wait in failure.waits]
    return [wait for wait in waits if not wait.startswith(BYSTANDER)] or waits


def as_dict(told: Narrative) -> dict[str, Any]:
    """The same as JSON can hold it."""
    failure, order = told.failure, storyline(told)
    return {
        "verdict": verdict(failure) if failure else "passes",
        "invariant": failure.invariant if failure else None,
        "kind": failure.kind if failure else None,
        "waits": list(failure.waits) if failure else [],
        "order": [
            {"thread": line.thread, "does": line.text, "leaves": line.leaves, "instead_of": line.instead}
            for line in order
        ],
        "leaves": leaving(order),
    }
