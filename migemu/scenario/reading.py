"""From tables to a scenario, or to one line for each thing that is wrong.

A line says where the value came from (file, variable or option), the key, what is wrong and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from migemu.errors import ConfigError
from migemu.scenario.device import Device
from migemu.scenario.files import file_problems
from migemu.scenario.model import Scenario
from migemu.scenario.problem import Problem, dotted
from migemu.scenario.quantity import PEOPLE, close, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from migemu.scenario.names import Side
    from migemu.scenario.problem import KeyPath

_SHOWN = 60
"""Characters of a wrong value that a line repeats."""
_MOST_LINES = 20
"""Lines of one error; beyond that a person starts with the first ones anyway."""


@dataclass
class Origin:
    """Where each value of a scenario came from, to name it when it is wrong."""

    source: str
    said: dict[KeyPath, str] = field(default_factory=dict)
    tables: list[int] = field(default_factory=list)

    def line(self, problem: Problem) -> str:
        """One problem as a line, whatever its keys are made of."""
        label, inner = self._place(problem.path)
        key = f"{dotted(inner)}{self._table(problem.path)}: " if inner else ""
        return _one_line(f"{label}: {key}{problem.text}")

    def _place(self, path: KeyPath) -> tuple[str, KeyPath]:
        """Who set a key, and the part of the key that does not say."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.said:
                return self.said[path[:length]], path[length:]
        if path and _annotation(path) is None:  # a table that does not exist, made by setting a key in it
            for key, label in self.said.items():
                if key[: len(path)] == path:
                    return label, path
        return self.source, path

    def _table(self, path: KeyPath) -> str:
        """Which table of the file a device came from, where its number does not tell."""
        number = path[1] if len(path) > 1 and path[0] == "device" else None
        if not isinstance(number, int) or number >= len(self.tables) or self.tables[number] == number + 1:
            return ""
        return f" (of [[device]] number {self.tables[number]})"

    def follow(self, devices: object) -> None:
        """Keep `tables` in step with a list of devices that was made longer or shorter."""
        if isinstance(devices, list) and self.tables:
            self.tables = [self.tables[i % len(self.tables)] for i in range(len(devices))]

    def same(self, problem: Problem) -> tuple[object, ...]:
        """Equal for copies of one mistake: a device table with a count is wrong in every copy."""
        path = problem.path
        if (
            len(path) > 2
            and isinstance(path[1], int)
            and path[1] < len(self.tables)
            and path not in self.said
        ):
            return (self.tables[path[1]], path[2:], problem.text)
        return (path, problem.text)


def build(
    data: Mapping[str, Any], origin: Origin, *, side: Side | None, problems: Iterable[Problem] = ()
) -> Scenario:
    """Validate tables.

    Args:
        data: tables as people wrote them, devices already repeated.
        origin: where their values came from.
        side: whose files must be there; None for both sides.
        problems: what was wrong already.

    Raises:
        ConfigError: anything is wrong; one line for each.
    """
    found = list(problems)
    scenario = None
    try:
        scenario = Scenario.model_validate(data, context=PEOPLE)
    except ValidationError as error:
        found += [problem for details in error.errors(include_url=False) for problem in _problems(details)]
    if scenario is not None and not found:
        found = file_problems(scenario, side)
        if not found:
            return scenario
    raise ConfigError("\n".join(_lines(found, origin)))


def _lines(problems: Iterable[Problem], origin: Origin) -> list[str]:
    """A line for each problem, copies of one mistake once, and an end to the list."""
    first: dict[object, Problem] = {}
    for problem in problems:
        first.setdefault(origin.same(problem), problem)
    lines = list(dict.fromkeys(origin.line(problem) for problem in first.values()))
    rest = len(lines) - _MOST_LINES
    return lines if rest <= 0 else [*lines[:_MOST_LINES], f"{origin.source}: and {rest} more"]


def _problems(details: ErrorDetails) -> list[Problem]:
    """What one error of the models means to a person."""
    kind, path = details["type"], tuple(details["loc"])
    context = details.get("ctx", {})
    if kind == "combinations":
        return list(context["problems"])
    if kind == "extra_forbidden" and path[-1] == "count" and _annotation(path[:-1]) is Device:
        return [Problem(path, "count repeats a [[device]] table of a file; here say devices=4")]
    if kind == "extra_forbidden":
        return [Problem(path, f"unknown key; {_meant(path)}")]
    if kind == "literal_error":
        choices = [str(choice) for choice in get_args(_annotation(path))]
        return [Problem(path, f"must be one of {', '.join(choices)}, not {_shown(details['input'])}")]
    text = _TEXTS.get(kind)
    if text is None:
        return [Problem(path, details["msg"])]
    return [Problem(path, text.format(shown=_shown(details["input"]), **context))]


_TEXTS = {
    "int_type": "must be a whole number, not {shown}",
    "float_type": "must be a number, not {shown}",
    "string_type": "must be text in quotes, not {shown}",
    "bool_type": "must be true or false, not {shown}",
    "model_type": "must be a table of keys, not {shown}",
    "dict_type": "must be a table of keys, not {shown}",
    "tuple_type": "must be written as [[device]] tables, not {shown}",
    "greater_than_equal": "must be at least {ge}, not {shown}",
    "less_than_equal": "must be at most {le}, not {shown}",
    "less_than": "must be less than {lt}, not {shown}",
    "string_pattern_mismatch": "must be printable and on one line, not {shown}",
    "string_too_long": "must be at most {max_length} characters",
    "finite_number": "must be a finite number, not {shown}",
}


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _shown(value: object) -> str:
    """A wrong value in a person's words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = ascii(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _annotation(path: KeyPath) -> Any:
    """The type of the field at a key; None where there is no such field."""
    at: Any = Scenario
    for part in path:
        if isinstance(part, int):
            at = next(iter(get_args(at)), None)
        elif isinstance(at, type) and issubclass(at, BaseModel) and part in at.model_fields:
            at = at.model_fields[part].annotation
        else:
            return None
    return at


def _known(path: KeyPath) -> list[str]:
    """The keys a table may have."""
    model = _annotation(path)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [*model.model_fields, *(["count"] if model is Device else [])]


def _meant(path: KeyPath) -> str:
    """What an unknown key was probably meant for: a near miss of its table, else the same word of another."""
    word, known = str(path[-1]), _known(path[:-1])
    if len(path) == 1 and not close(word, known):
        within = {name: f"{table}.{name}" for table in reversed(known) for name in _known((table,))}
        within |= {name: f"device.*.{name}" for name in _known(("device", 0)) if name not in within}
        found = close(word, tuple(within))
        if found is not None:
            return f'did you mean "{within[found]}"?'
    return nearest(word, known)
