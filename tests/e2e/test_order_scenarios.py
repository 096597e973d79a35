"""The scenarios of configs/order: what each says of itself must come of it, on real sockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.sides import migemu

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "order").glob("*.toml"))

CATALOGUED = ("b01", "b02", "b03", "b10", "b13", "b18", "b29", "b30", "b31")
"""Bugs of QEMU's history that these scenarios give occasion to."""
HOSTILE = ("c05", "c07", "e03", "e06", "k06", "k19", "k20")
"""Cases of the hostile-order table that real QEMUs were seen to fail."""


def outcome(config: Path) -> list[str]:
    """What the file says comes of it: ``verified``, or one of these texts in both sides' errors."""
    (line,) = [line for line in config.read_text().splitlines() if line.startswith("# outcome: ")]
    said = line.removeprefix("# outcome: ")
    return [] if said == "verified" else said.removeprefix("fails with: ").split(" | ")


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_every_case_that_was_asked_for_has_a_scenario() -> None:
    names = {config.name.split("-")[0] for config in CONFIGS}
    assert names == {*CATALOGUED, *HOSTILE}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_what_a_scenario_says_of_itself_comes_of_it(config: Path, tmp_path: Path) -> None:
    done = migemu("run", str(config), "--out", str(tmp_path))
    result = json.loads((tmp_path / "result.json").read_text())
    told = events(tmp_path)
    rules = [event for event in told if event["event"] == "order_rule_ended"]
    assert rules
    assert [rule["rule"] for rule in rules if rule["required"] and not rule["ok"]] == []
    failures = outcome(config)
    if not failures:
        assert done.returncode == 0, done.stdout + done.stderr
        assert (result["verdict"], result["runnable"]) == ("completed", "destination")
        assert all(item["ok"] for item in result["verification"])
        return
    assert done.returncode == 1
    assert (result["verdict"], result["runnable"]) == ("failed", "source")
    for side in ("source", "destination"):
        said = [event["message"] for event in told if event["event"] == "error" and event["side"] == side]
        assert any(text in message for text in failures for message in said), said
    assert "Traceback" not in done.stdout + done.stderr
