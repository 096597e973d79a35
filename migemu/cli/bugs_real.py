"""``migemu bugs reproduce NAME --real``: two processes on real sockets, the order forced by rules."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from migemu.cli.place import placed
from migemu.cli.run import Pair
from migemu.errors import UsageError
from migemu.observe.join import join

if TYPE_CHECKING:
    from migemu.cli.place import Place
    from migemu.lab.bugs import Bug
    from migemu.lab.bugs.real import Real, Run
    from migemu.observe.events import Event
    from migemu.scenario import Side


GRACE = 1.0
"""Seconds that both sides may still take once the bug has shown itself."""


class BugPair(Pair):
    """A pair of which the destination is a variant of the catalogue.

    Args:
        bug: its name.
        variant: broken or correct.
        real: how it is driven, and what shows it; once it has been seen nobody waits for time limits.
        scratch: a folder of this run.
        place: where they run.
    """

    def __init__(self, bug: str, variant: str, real: Real, scratch: Path, place: Place) -> None:
        super().__init__(run_of(real, variant).scenario, scratch, self._hear, place)
        self._variant = bug, variant
        self._shows = real.shows
        self._shown = False

    def _hear(self, event: Event) -> None:
        if not self._shown and self._shows([event]) is not None:
            self._shown = True
            asyncio.get_running_loop().call_later(GRACE, self._forward, signal.SIGTERM)

    def _command(self, side: Side, option: str, address: str) -> list[str]:
        if side == "source":
            return super()._command(side, option, address)
        folder = str(self._scratch / side)
        return [sys.executable, "-m", "migemu.cli.bug_side", *self._variant, folder]


class Seen(NamedTuple):
    """What one run showed."""

    symptom: str | None
    ended: str
    """How it ended, in one line."""
    rules: list[str]
    """Order rules that did not do what they are for."""


def run_of(real: Real, variant: str) -> Run:
    """What the broken or the correct variant's processes are."""
    return real.broken if variant == "broken" else real.correct


def reproduce_real(bug: Bug, times: int, *, as_json: bool) -> bool:
    """Run the broken variant `times` times and the correct one as often; whether each showed what it should.

    Raises:
        UsageError: nothing says how this bug is driven.
    """
    real = bug.real
    if real is None:
        raise UsageError(f"{bug.name} has no rules for real sockets; migemu bugs lists those that have")
    broken = [run_once(bug, real, "broken") for _ in range(times)]
    correct = [run_once(bug, real, "correct") for _ in range(times)]
    if as_json:
        click.echo(json.dumps(_as_dict(bug, broken, correct)))
    else:
        _tell(bug, real, broken, correct)
    return all(seen.symptom for seen in broken) and not any(seen.symptom for seen in correct)


def run_once(bug: Bug, real: Real, variant: str) -> Seen:
    """One migration between two processes."""
    with tempfile.TemporaryDirectory(prefix="migemu-") as scratch, placed() as place:
        pair = BugPair(bug.name, variant, real, Path(scratch), place)
        end = asyncio.run(pair.run())
        events = join(pair.events("source"), pair.events("destination"))
    return Seen(real.shows(events), _ended(events, end.reasons), _idle_rules(events))


def _ended(events: list[Event], reasons: tuple[str, ...]) -> str:
    """The first error of either side, else that it went well."""
    errors = [str(event.get("message")) for event in events if event.event == "error"]
    return next(iter([*errors, *reasons]), "the migration completed")


def _idle_rules(events: list[Event]) -> list[str]:
    ended = [event for event in events if event.event == "order_rule_ended"]
    return [str(event.get("rule")) for event in ended if not event.get("fired")]


def _tell(bug: Bug, real: Real, broken: list[Seen], correct: list[Seen]) -> None:
    click.echo(f"{bug.name} on real sockets: {bug.title}")
    click.echo(f"the rules: {' '.join(real.how.split())}")
    for name, runs in (("broken", broken), ("correct", correct)):
        shown = sum(1 for seen in runs if seen.symptom)
        click.echo(f"{name} variant: {shown} of {len(runs)} runs show it")
        for text, count in _counted(seen.symptom or f"not there: {seen.ended}" for seen in runs):
            click.echo(f"  {count} x {text}")
    idle = sorted({rule for seen in broken if not seen.symptom for rule in seen.rules})
    if idle:
        click.echo(f"order rules that never fired: {', '.join(idle)}")


def _counted(texts: Any) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def _as_dict(bug: Bug, broken: list[Seen], correct: list[Seen]) -> dict[str, Any]:
    return {
        "schema": 1,
        "bug": bug.name,
        "broken": [seen._asdict() for seen in broken],
        "correct": [seen._asdict() for seen in correct],
    }
