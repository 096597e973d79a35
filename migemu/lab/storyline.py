"""A failing schedule as a numbered list: who did what, in turn, and where that leaves the native order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from migemu.lab.words import short, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.lab.explore import Narrative
    from migemu.threads.controlled_trace import Decision, Step

SHOWN = 60
"""Lines of the longest list."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one thread does until another one takes over."""

    thread: str
    does: str
    instead: str
    """What the native order would have done here; empty where this is the native order."""


def storyline(told: Narrative) -> list[Line]:
    """The schedule, one line a turn; turns in which nothing worth telling happens are left out."""
    deviations = {decision.step: decision for decision in told.decisions if decision.choice}
    lines = []
    for thread, group in groupby(told.steps, key=lambda step: step.thread):
        steps = list(group)
        instead = _instead(deviations, steps)
        does = _does(steps)
        if does or instead:
            lines.append(Line(short(thread), does or f"{_stands(steps)}", instead))
    return _joined(lines)


def _instead(deviations: dict[int, Decision], steps: Sequence[Step]) -> str:
    """The native order at this turn, if the turn is a deviation; faults say so themselves."""
    found = deviations.get(steps[0].number)
    return short(found.menu[0]) if found is not None and found.kind == "thread" else ""


def _does(steps: Iterable[Step]) -> str:
    told = [said for step in steps for note in step.notes if (said := words(note)) is not None]
    return "; ".join(told)


def _stands(steps: Sequence[Step]) -> str:
    """What a turn without events does."""
    return short(steps[-1].did)


def _joined(lines: Sequence[Line]) -> list[Line]:
    """Turns of one thread that follow each other, once those between them are left out, are one."""
    joined: list[Line] = []
    for line in lines:
        if joined and joined[-1].thread == line.thread and not line.instead:
            last = joined[-1]
            joined[-1] = Line(last.thread, f"{last.does}; {line.does}", last.instead)
        else:
            joined.append(line)
    return joined


def render(lines: Sequence[Line]) -> list[str]:
    """The list as text: a star where the schedule leaves the native order."""
    width = max((len(line.thread) for line in lines), default=0)
    rendered = []
    for number, line in enumerate(lines[:SHOWN], 1):
        star = "*" if line.instead else " "
        rendered.append(f"{star}{number:3}. {line.thread:<{width}}  {line.does}")
        if line.instead:
            rendered.append(f"      {'':<{width}} (instead of: {line.instead})")
    if len(lines) > SHOWN:
        rendered.append(f"      and {len(lines) - SHOWN} more turns")
    return rendered
