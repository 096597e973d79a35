"""A scenario in one line, for people who want to see that they run what they meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.scenario.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.scenario.model import Scenario


def describe(scenario: Scenario) -> str:
    """``4 devices (387 MiB), 6 channels, RAM 256 MiB, load-ready, machine 11.1``."""
    count, channels = len(scenario.device), scenario.migration.channels
    devices = f"{_counted(count, 'device')} ({_total([device.stop_copy_size for device in scenario.device])})"
    parts = [
        devices if count else "no devices",
        _counted(channels, "channel"),
        f"RAM {_total([scenario.ram.total_size])}",
        scenario.handoff,
        f"machine {scenario.machine}",
    ]
    if scenario.dilation != 1:
        parts.append(f"dilation {scenario.dilation:g}")
    return ", ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _total(sizes: list[Callable[[], int]]) -> str:
    """The sum, or that it is not known here: a destination need not have the source's files."""
    try:
        return format_size(sum(size() for size in sizes), digits=3)
    except ConfigError:
        return "size known to the source"
