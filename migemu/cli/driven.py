"""Two processes driven into an order: a source as ever, a destination that is a variant or takes turns."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from migemu.cli.pair import Pair
from migemu.cli.place import placed
from migemu.observe.join import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.cli.place import Place
    from migemu.lab.bugs.real import Symptom
    from migemu.observe.events import Event
    from migemu.scenario import Scenario, Side

GRACE = 1.0
"""Seconds that both sides may still take once the symptom has shown itself."""


class Driven(NamedTuple):
    """What is run."""

    scenario: Scenario
    destination: Callable[[Path], list[str]]
    """The destination's module and arguments, given a folder of the run."""
    shows: Symptom
    """What is looked for; once it has been seen nobody waits for time limits."""


class DrivenPair(Pair):
    """The two processes of a driven run."""

    def __init__(self, driven: Driven, scratch: Path, place: Place) -> None:
        super().__init__(driven.scenario, scratch, self._hear, place)
        self._driven = driven
        self._shown = False

    def _hear(self, event: Event) -> None:
        if not self._shown and self._driven.shows([event]) is not None:
            self._shown = True
            asyncio.get_running_loop().call_later(GRACE, self._forward, signal.SIGTERM)

    def _command(self, side: Side, option: str, address: str) -> list[str]:
        if side == "source":
            return super()._command(side, option, address)
        return [sys.executable, "-m", *self._driven.destination(self._scratch / side)]


class Seen(NamedTuple):
    """What one run showed."""

    symptom: str | None
    ended: str
    """How it ended, in one line."""
    rules: list[str]
    """Order rules, and gates, that did not do what they are for."""


def run_once(driven: Driven) -> Seen:
    """One migration between two processes."""
    with tempfile.TemporaryDirectory(prefix="migemu-") as scratch, placed() as place:
        pair = DrivenPair(driven, Path(scratch), place)
        end = asyncio.run(pair.run())
        events = join(pair.events("source"), pair.events("destination"))
    return Seen(driven.shows(events), _ended(events, end.reasons), list(_in_vain(events)))


def _ended(events: list[Event], reasons: tuple[str, ...]) -> str:
    """The first error of either side, else that it went well."""
    errors = [str(event.get("message")) for event in events if event.event == "error"]
    return next(iter([*errors, *reasons]), "the migration completed")


def _in_vain(events: Sequence[Event]) -> Iterable[str]:
    """Rules and gates that did nothing; a packet that is on its channel already need not be moved."""
    for event in events:
        if event.event == "turn_missed":
            yield f"a gate waited in vain for {event.get('waited_for')}"
        elif event.event == "order_rule_ended" and not event.get("fired") and event.get("type") != "move":
            yield f"order rule {event.get('rule')} never fired"
        elif event.event == "order_rule_ended" and event.get("expired"):
            yield f"order rule {event.get('rule')} waited in vain"


def tell_runs(heading: str, runs: Sequence[Seen]) -> None:
    """How often, and what was seen; what did not work in the runs that showed nothing."""
    shown = sum(1 for seen in runs if seen.symptom)
    click.echo(f"{heading}: {shown} of {len(runs)} runs show it")
    for text, count in _counted(seen.symptom or f"not there: {seen.ended}" for seen in runs):
        click.echo(f"  {count} x {text}")


def tell_in_vain(runs: Sequence[Seen]) -> None:
    """Why a run that should show something may not have."""
    for text, count in _counted(rule for seen in runs if not seen.symptom for rule in seen.rules):
        click.echo(f"  {count} x {text}")


def _counted(texts: Iterable[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for text in texts:
        counts[text] = counts.get(text, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])
