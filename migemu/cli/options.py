"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migemu.errors import UsageError

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
LINK = click.option(
    "--link",
    metavar="LINK",
    help="A slower link, paced in the program: 'rate=10 Gbit/s, per_channel=1.5 Gbit/s, delay=1 ms'.",
)
LINK_KEYS = ("rate", "per_channel", "delay")


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
    from migemu.handoff.choice import choose  # noqa: PLC0415  with these two --help would take four times as long
    from migemu.scenario import load  # noqa: PLC0415

    scenario = load(config, overrides=overrides, side=side)
    choose(scenario)
    return scenario


def link_settings(text: str | None) -> tuple[str, ...]:
    """What ``--link`` is short for: settings of the scenario's ``[link]``.

    Raises:
        UsageError: it is not of that form.
    """
    settings = []
    for part in text.split(",") if text is not None else ():
        key, equals, value = (word.strip() for word in part.partition("="))
        if key not in LINK_KEYS or not equals or not value:
            example = "rate=10 Gbit/s, per_channel=1.5 Gbit/s, delay=1 ms"
            raise UsageError(f"--link {part.strip()!r}: write {example}, or some of these")
        settings.append(f"link.{key}={value}")
    return tuple(settings)
