"""Scenarios: one migration as data, read from TOML, environment and command line."""

from migemu.scenario.device import Device, Injected
from migemu.scenario.model import Limits, Link, Migration, Platform, Ram, Scenario, Timeouts
from migemu.scenario.names import HANDOFFS, MACHINES, Side
from migemu.scenario.units import format_rate, format_size, format_time, parse_rate, parse_size, parse_time

__all__ = [
    "HANDOFFS",
    "MACHINES",
    "Device",
    "Injected",
    "Limits",
    "Link",
    "Migration",
    "Platform",
    "Ram",
    "Scenario",
    "Side",
    "Timeouts",
    "format_rate",
    "format_size",
    "format_time",
    "parse_rate",
    "parse_size",
    "parse_time",
]
