"""Writing a scenario: tables as people write them, TOML text, and a hash.

The writer knows just what a scenario has: text, numbers, booleans, tables and a list of tables. That is
40 lines, against a dependency for the same.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel

from migemu.scenario.order import Sparse
from migemu.scenario.quantity import UNLIMITED, Quantity
from migemu.scenario.units import format_time

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from migemu.scenario.model import Scenario


def to_tables(model: BaseModel) -> dict[str, Any]:
    """A model as the tables of a file: with units, paths absolute, without what has no value."""
    tables = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None and field.default is None:
            continue  # left out means the same, whatever it is called
        sparse = name == "injected" or isinstance(model, Sparse) or isinstance(value, Sparse)
        if sparse and value == field.default:
            continue  # faults and rules are exceptions; 64 times "none" hides them
        tables[name] = _plain(value, field)
    return tables


def _plain(value: Any, field: FieldInfo) -> Any:
    quantity = quantity_of(field)
    if quantity is not None:
        return UNLIMITED if value is None else quantity.format(value)
    if isinstance(value, BaseModel):
        return to_tables(value)
    if isinstance(value, tuple):
        return [to_tables(item) for item in value]
    if isinstance(value, dict):
        return {state: format_time(time) for state, time in value.items()}
    if isinstance(value, Path):
        return str(value.absolute())
    return str(value) if isinstance(value, UUID) else value


def quantity_of(field: FieldInfo) -> Quantity | None:
    """The unit of a model's field; None for fields without one."""
    return next((mark for mark in field.metadata if isinstance(mark, Quantity)), None)


def dump_toml(scenario: Scenario) -> str:
    """The whole scenario as TOML that loads again to an equal scenario, wherever it is put."""
    tables = to_tables(scenario)
    lines = [
        f"{key} = {_value(value)}" for key, value in tables.items() if not isinstance(value, (dict, list))
    ]
    for key, value in tables.items():
        for table in value if isinstance(value, list) else [value] if isinstance(value, dict) else []:
            lines += ["", f"[[{key}]]" if isinstance(value, list) else f"[{key}]"]
            lines += [f"{inner} = {_value(content)}" for inner, content in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {_value(content)}" for key, content in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # TOML's basic strings escape as JSON's do, except that TOML wants DEL escaped as well.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def scenario_hash(scenario: Scenario) -> str:
    """Sixteen hex digits that are equal for scenarios that behave alike: all but the name counts."""
    content = scenario.model_dump(mode="json", exclude={"name"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
