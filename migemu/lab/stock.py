"""The stock scenario, and small ones made from it."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from migemu.scenario import loads

if TYPE_CHECKING:
    from migemu.scenario import Scenario

STOCK = "small.toml"


def stock_text() -> str:
    """The stock scenario's file."""
    return resources.files("migemu.lab").joinpath(STOCK).read_text(encoding="utf-8")


def stock(*overrides: str) -> Scenario:
    """The stock scenario with values changed as by ``--set``, whatever the environment says.

    Raises:
        ConfigError: an override is wrong.
    """
    return loads(stock_text(), STOCK, overrides=overrides, environ={})
