"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migemu.handoff.choice import choose
from migemu.scenario import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.scenario import Scenario, Side

F = TypeVar("F", bound="Callable[..., Any]")

CONFIG = click.argument("config", type=click.Path(path_type=Path), required=False)
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a value over the file; repeatable."
)
OUT = click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Keep result, events and scenario there."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print events as JSON Lines instead of a view.")


def scenario_options(command: F) -> F:
    """CONFIG, --set, --out and --json."""
    for option in (JSON, OUT, SET, CONFIG):
        command = option(command)
    return command


def read_scenario(config: Path | None, overrides: tuple[str, ...], side: Side | None = None) -> Scenario:
    """The scenario a person asked for: command line over environment over file over defaults.

    Raises:
        ConfigError: it is wrong, or its machine type or platform does not allow its hand-off.
    """
    scenario = load(config, overrides=overrides, side=side)
    choose(scenario)
    return scenario
