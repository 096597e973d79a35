"""``migemu replay TOKEN``: a schedule that was found, exactly as it was."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click

from migemu.lab.explore import Runner, narrate
from migemu.lab.explored import owner_of
from migemu.lab.stock import stock
from migemu.lab.storyline import render, storyline
from migemu.lab.telling import as_dict, lines
from migemu.scenario import load

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.lab.explore import Narrative
    from migemu.lab.explored import Owner
    from migemu.scenario import Scenario

TOKEN = re.compile(r"mig\d[a-z2-7]+", re.IGNORECASE)


def is_token(argument: Path) -> bool:
    """Whether what stands in the place of a capture is a token."""
    return TOKEN.fullmatch(str(argument)) is not None and not argument.exists()


def replay_token(
    token: str,
    scenario: Path | None,
    overrides: tuple[str, ...],
    *,
    real: bool,
    as_rules: bool,
    times: int,
    as_json: bool,
) -> None:
    """Run the schedule of a token and tell it; exit code 1 when it fails, which is what it is kept for.

    Raises:
        ScheduleError: the token belongs to something else.
        UsageError: --real, and nothing of it has a real counterpart.
    """
    given = None
    if scenario is not None or overrides:
        given = stock(*overrides) if scenario is None else load(scenario, overrides=overrides)
    owner = owner_of(token, given)
    if real or as_rules:
        _on_sockets(token, owner, given, times if real else 0, as_json=as_json)
        return
    runner = Runner(owner.subject, owner.token.rules)
    told = narrate(runner, owner.token.decisions)
    if as_json:
        click.echo(json.dumps({"schema": 1, "of": owner.called, "token": token} | as_dict(told)))
    else:
        _tell(owner, told, token)
    if told.failure is not None:
        raise SystemExit(1)


def _on_sockets(token: str, owner: Owner, given: Scenario | None, times: int, *, as_json: bool) -> None:
    """Drive two real processes into the order of the token `times` times; print its rules if 0 times."""
    from migemu.cli.replay_real import print_rules, replay_real  # noqa: PLC0415  starts processes

    if not times:
        print_rules(owner)
    elif not replay_real(token, owner, given, times, as_json=as_json):
        raise SystemExit(1)


def _tell(owner: Owner, told: Narrative, token: str) -> None:
    click.echo(owner.called)
    deviations = sum(1 for choice in owner.token.decisions if choice)
    note = f"{deviations} deviation{'s' * (deviations != 1)} from the native order"
    if told.failure is not None:
        for line in lines(told, token, "migemu replay", note):
            click.echo(line)
        return
    click.echo(f"the order ({note}):")
    for line in render(storyline(told)):
        click.echo(line)
    click.echo("it passes: no invariant breaks")
