"""A failing schedule as a numbered list: who did what, in turn, and where that leaves the native order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from migemu.lab.words import BREAKS, FAILS, short, stands, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.lab.explore import Narrative
    from migemu.threads.controlled_trace import Decision, Step

SHOWN = 60
"""Lines of the longest list."""
WIDTH = 100
"""Columns of a line, if what one event says is not longer."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one thread does until another one takes over."""

    thread: str
    does: tuple[str, ...]
    leaves: bool = False
    """Whether the schedule leaves the native order here: another thread's turn, or a fault."""
    instead: str = ""
    """What the native order would have done; empty where that need not be said."""

    @property
    def text(self) -> str:
        """All of it in one line."""
        return "; ".join(self.does)


def storyline(told: Narrative) -> list[Line]:
    """The schedule, one line a turn; turns in which nothing worth telling happens are left out."""
    deviations = {decision.step: decision for decision in told.decisions if decision.choice}
    said: set[str] = set()
    lines = []
    for thread, group in groupby(told.steps, key=lambda step: step.thread):
        steps = list(group)
        found = next((deviations[step.number] for step in steps if step.number in deviations), None)
        does = _does(steps, said)
        if does or found is not None:
            does = does or (stands(steps[-1].did),)
            lines.append(Line(short(thread), does, found is not None, _instead(found)))
    return _joined(lines)


def _instead(found: Decision | None) -> str:
    """What the native order does at a deviation; a fault says itself what it is."""
    if found is None or found.menu[0].startswith("no "):
        return ""
    return stands(found.menu[0])


def _does(steps: Iterable[Step], said: set[str]) -> tuple[str, ...]:
    """Everything worth telling; what has broken is told once, however often it is met afterwards."""
    told: list[str] = []
    for note in (note for step in steps for note in step.notes):
        text = words(note)
        if text is None or text in said:
            continue
        if text.startswith(BREAKS):
            said.add(text)
            said.add(f"{FAILS}{text.partition(': ')[2]}")
        if not (text.startswith(FAILS) and any(one.startswith(BREAKS) for one in told)):
            told.append(text)
    return tuple(told)


def _joined(lines: Sequence[Line]) -> list[Line]:
    """Turns of one thread that follow each other, once those between them are left out, are one."""
    joined: list[Line] = []
    for line in lines:
        if joined and joined[-1].thread == line.thread and not line.leaves:
            last = joined[-1]
            joined[-1] = replace(last, does=last.does + line.does)
        else:
            joined.append(line)
    return joined


def leaving(lines: Sequence[Line]) -> str:
    """Where the schedule first leaves the order in which it would have passed."""
    for number, line in enumerate(lines, 1):
        if line.leaves:
            instead = f" instead of: {line.instead}" if line.instead else ", by the fault that is named there"
            return f"at {number}{instead}"
    return "nowhere, the native order of this traffic fails as well"


def render(lines: Sequence[Line]) -> list[str]:
    """The list as text: a star where the schedule leaves the native order."""
    width = max((len(line.thread) for line in lines), default=0)
    rendered = []
    for number, line in enumerate(lines[:SHOWN], 1):
        star = "*" if line.leaves else " "
        first, *rest = _folded(line.does, WIDTH - width - 8)
        rendered.append(f"{star}{number:3}. {line.thread:<{width}}  {first}")
        rendered += [f"      {'':<{width}}  {more}" for more in rest]
        if line.instead:
            rendered.append(f"      {'':<{width}}  (instead of: {line.instead})")
    if len(lines) > SHOWN:
        rendered.append(f"      and {len(lines) - SHOWN} more turns")
    return rendered


def _folded(does: Sequence[str], width: int) -> list[str]:
    """What is done, as many events in a row as fit."""
    rows: list[str] = []
    for place, one in enumerate(does):
        text = f"{one};" if place + 1 < len(does) else one
        if rows and len(rows[-1]) + 1 + len(text) <= width:
            rows[-1] += f" {text}"
        else:
            rows += wrap(text, max(width, 30), break_long_words=False, break_on_hyphens=False)
    return rows
