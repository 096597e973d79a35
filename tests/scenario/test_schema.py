"""The JSON Schema agrees with what the models accept."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from migemu.scenario import default_text, json_schema

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """As much of JSON Schema as the scenario's uses."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(fits(value, option, root) for option in schema["anyOf"])
    return isinstance(value, KINDS.get(schema.get("type", ""), object)) and all(
        (
            value == schema.get("const", value),
            value in schema.get("enum", [value]),
            not isinstance(value, str) or re.search(schema.get("pattern", ""), value),
            not isinstance(value, int)
            or schema.get("minimum", value) <= value <= schema.get("maximum", value),
            not isinstance(value, list) or all(fits(item, schema["items"], root) for item in value),
            not isinstance(value, dict) or fits_keys(value, schema, root),
        )
    )


def fits_keys(table: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    known = schema.get("properties", {})
    other = schema.get("additionalProperties", {})
    names = schema.get("propertyNames", {}).get("enum", table)
    return all(
        (key in known or other is not False) and key in names and fits(inner, known.get(key, other), root)
        for key, inner in table.items()
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configs_fit(path: Path) -> None:
    assert fits(tomllib.loads(path.read_text()), json_schema(), json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "sed = 1",
        "[migration]\nchannels = 256",
        "[migration]\npacket_size = '1 MB/s'",
        "[timeouts]\ntotal = 3",
        "[link]\nrate = '5 Mb/s'",
        "handoff = 'load_ready'",
        "[[device]]\ncount = 65",
        "[[device]]\nwirte_rate = 0",
        "[[device]]\ntransition_times = { STOPCOPY = '1 ms' }",
    ],
)
def test_what_is_refused_does_not_fit(text: str) -> None:
    assert not fits(tomllib.loads(text), json_schema(), json_schema())


def test_every_key_is_described_and_every_default_fits_its_own_schema() -> None:
    schema = json_schema()
    tables = {"": schema, **schema["$defs"]}
    keys = [
        (table, key, entry) for table, body in tables.items() for key, entry in body["properties"].items()
    ]
    assert [(table, key) for table, key, entry in keys if not entry.get("description")] == []
    wrong = [
        (t, k) for t, k, entry in keys if "default" in entry and not fits(entry["default"], entry, schema)
    ]
    assert wrong == []
    assert ("Device", "count") in [(table, key) for table, key, _entry in keys]


def test_it_is_plain_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
    assert fits(tomllib.loads(default_text()), json_schema(), json_schema())
