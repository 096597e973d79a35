"""Scenarios: one migration as data, read from TOML, environment and command line."""

from migemu.scenario.describe import describe
from migemu.scenario.device import Device, Injected
from migemu.scenario.dilate import dilated
from migemu.scenario.dump import dump_toml, scenario_hash
from migemu.scenario.limits import Limits, Timeouts
from migemu.scenario.load import default, default_text, load, loads, with_overrides
from migemu.scenario.model import Link, Migration, Platform, Ram, Scenario
from migemu.scenario.names import HANDOFFS, MACHINES, Side
from migemu.scenario.order import Attributes, Order, Select, Until
from migemu.scenario.overrides import apply_overrides
from migemu.scenario.schema import json_schema
from migemu.scenario.tls import Tls
from migemu.scenario.units import format_rate, format_size, format_time, parse_rate, parse_size, parse_time
from migemu.scenario.virtual import Jitter, Virtual

__all__ = [
    "HANDOFFS",
    "MACHINES",
    "Attributes",
    "Device",
    "Injected",
    "Jitter",
    "Limits",
    "Link",
    "Migration",
    "Order",
    "Platform",
    "Ram",
    "Scenario",
    "Select",
    "Side",
    "Timeouts",
    "Tls",
    "Until",
    "Virtual",
    "apply_overrides",
    "default",
    "default_text",
    "describe",
    "dilated",
    "dump_toml",
    "format_rate",
    "format_size",
    "format_time",
    "json_schema",
    "load",
    "loads",
    "parse_rate",
    "parse_size",
    "parse_time",
    "scenario_hash",
    "with_overrides",
]
