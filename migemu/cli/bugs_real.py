"""``migemu bugs reproduce NAME --real``: two processes on real sockets, the order forced by rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from migemu.cli.driven import Driven, run_once, tell_in_vain, tell_runs
from migemu.errors import UsageError

if TYPE_CHECKING:
    from migemu.cli.driven import Seen
    from migemu.lab.bugs import Bug
    from migemu.lab.bugs.real import Real


def reproduce_real(bug: Bug, times: int, *, as_json: bool) -> bool:
    """Run the broken variant `times` times and the correct one as often; whether each showed what it should.

    Raises:
        UsageError: nothing says how this bug is driven.
    """
    real = bug.real
    if real is None:
        raise UsageError(f"{bug.name} has no rules for real sockets; migemu bugs lists those that have")
    broken, correct = run_both(bug, real, times)
    if as_json:
        click.echo(json.dumps(_as_dict(bug, broken, correct)))
    else:
        _tell(bug, real, broken, correct)
    return all(seen.symptom for seen in broken) and not any(seen.symptom for seen in correct)


def run_both(bug: Bug, real: Real, times: int) -> tuple[list[Seen], list[Seen]]:
    """The broken variant's runs and the correct one's."""
    broken, correct = (driven(bug, real, variant) for variant in ("broken", "correct"))
    return [run_once(broken) for _ in range(times)], [run_once(correct) for _ in range(times)]


def driven(bug: Bug, real: Real, variant: str) -> Driven:
    """The processes of one variant."""
    run = real.broken if variant == "broken" else real.correct
    return Driven(
        run.scenario, lambda folder: ["migemu.cli.bug_side", bug.name, variant, str(folder)], real.shows
    )


def _tell(bug: Bug, real: Real, broken: list[Seen], correct: list[Seen]) -> None:
    click.echo(f"{bug.name} on real sockets: {bug.title}")
    click.echo(f"the rules: {' '.join(real.how.split())}")
    tell_runs("broken variant", broken)
    tell_in_vain(broken)
    tell_runs("correct variant", correct)


def _as_dict(bug: Bug, broken: list[Seen], correct: list[Seen]) -> dict[str, Any]:
    return {
        "schema": 1,
        "bug": bug.name,
        "broken": [seen._asdict() for seen in broken],
        "correct": [seen._asdict() for seen in correct],
    }
