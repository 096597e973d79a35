"""The catalogue is the interface between the rooms: what the code emits must be in it, as it says."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import migemu
from migemu.observe.catalogue import CHECKPOINTS, DETAIL, EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(migemu.__file__).parent


class Call(NamedTuple):
    """A call of ``point`` in the source, as far as it can be read without running it."""

    place: str
    event: str
    fields: frozenset[str]
    open: bool
    """More fields come from a dictionary."""


def calls() -> Iterator[Call]:
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] == "lab" and path.parent.name != "virtual":
            continue  # what explored systems and mutants say goes into schedules, not into event logs
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and _name(node.func) == "point" and node.args:
                event = node.args[0]
                if isinstance(event, ast.Constant):
                    names = [keyword.arg for keyword in node.keywords]
                    fields = frozenset(name for name in names if name is not None)
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield Call(place, str(event.value), fields, open=None in names)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def test_every_event_the_code_emits_is_in_the_catalogue() -> None:
    assert [call for call in calls() if call.event not in EVENTS] == []


def test_every_event_carries_what_the_catalogue_says_and_nothing_else() -> None:
    wrong = []
    for call in calls():
        kind = EVENTS.get(call.event)
        if kind is None:
            continue
        missing = frozenset() if call.open else kind.required() - call.fields
        unknown = call.fields - kind.required() - kind.optional()
        if missing or unknown:
            wrong.append((call.place, call.event, sorted(missing), sorted(unknown)))
    assert wrong == []


def test_detail_events_are_those_of_single_packets_and_buffers() -> None:
    assert "multifd_send_packet" in DETAIL
    assert all("packet" in name or "buffer" in name for name in DETAIL)
    assert {"error", "verify", "precopy_round", "config_ready", "progress"}.isdisjoint(DETAIL)


def test_the_checkpoints_are_qemus_first_the_sources_then_the_destinations() -> None:
    sides = [name.split("-")[0] for name in CHECKPOINTS]
    assert sides == ["src"] * 4 + ["dst"] * 4
