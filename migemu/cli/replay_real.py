"""``migemu replay TOKEN --real`` and ``--as-rules``: a schedule's order on real sockets and real threads."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migemu.cli.bugs_real import reproduce_real
from migemu.cli.driven import Driven, run_once, tell_in_vain, tell_runs
from migemu.lab.turn_real import turned
from migemu.scenario import dump_toml

if TYPE_CHECKING:
    from migemu.cli.driven import Seen
    from migemu.lab.explored import Owner
    from migemu.lab.turn_real import Turned
    from migemu.scenario import Scenario


def replay_real(token: str, owner: Owner, given: Scenario | None, times: int, *, as_json: bool) -> bool:
    """Drive two processes into the order of a token; whether each run showed what the schedule shows.

    Raises:
        UsageError: nothing of it has a counterpart there.
    """
    if owner.bug is not None and owner.bug.real is not None:
        return reproduce_real(owner.bug, times, as_json=as_json)
    plan = turned(owner)
    with tempfile.TemporaryDirectory(prefix="migemu-") as scratch:
        runs = _runs(token, plan, given, times, Path(scratch))
    if as_json:
        told = {"schema": 1, "of": owner.called, "expected": plan.expected}
        click.echo(json.dumps(told | {"runs": [seen._asdict() for seen in runs]}))
    else:
        _tell(owner, plan, runs)
    return not plan.expected or all(seen.symptom for seen in runs)


def _runs(token: str, plan: Turned, given: Scenario | None, times: int, scratch: Path) -> list[Seen]:
    file = scratch / "scenario.toml"
    if given is not None:
        file.write_text(dump_toml(given), encoding="utf-8")
    scenario = "" if given is None else str(file)

    def destination(folder: Path) -> list[str]:
        return ["migemu.cli.turn_side", token, scenario, str(folder)]

    return [run_once(Driven(plan.run.scenario, destination, plan.shows)) for _ in range(times)]


def _tell(owner: Owner, plan: Turned, runs: list[Seen]) -> None:
    rules = plan.rules.count("[[order]]")
    click.echo(f"{owner.called} on real sockets: {len(plan.turns.beats)} turns in order, {rules} rules")
    tell_runs(plan.expected or "passes under control", runs)
    tell_in_vain(runs)


def print_rules(owner: Owner) -> None:
    """The order of a token as a scenario with ``[[order]]`` rules, to run, to change and to keep."""
    click.echo(dump_toml(turned(owner).run.scenario))
