"""The page people learn rules from says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from migemu.scenario.order import Select
from migemu.scenario.order_names import TYPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "order-rules.md").read_text()


def table(head: str) -> list[list[str]]:
    """The rows of the table whose head begins with `head`, as lists of cells."""
    lines = PAGE[PAGE.index(head) :].splitlines()[2:]
    rows = lines[: next(n for n, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def words(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def test_every_type_is_there_with_its_attributes() -> None:
    told = {words(row[0])[0]: set(words(row[2])) for row in table("| `type` | does")}
    assert told == {name: set(kind.needs | kind.takes) for name, kind in TYPES.items()}


def test_every_key_of_a_selection_is_there() -> None:
    told = {word for row in table("| key | fits") for word in words(row[0])}
    assert told == set(Select.model_fields)


def test_every_scenario_that_is_kept_is_there() -> None:
    told = {word for row in table("| file | case") for word in re.findall(r"`(-?[a-z0-9-]+)`", row[0])}
    files = {path.stem for path in (ROOT / "configs" / "order").glob("*.toml")}
    ends = [word for word in told if word.startswith("-")]
    assert {word for word in told if not word.startswith("-")} <= files
    assert all(file in told or any(file.endswith(end) for end in ends) for file in files)
