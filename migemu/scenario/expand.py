"""``[[device]]`` with a count: one table in a file, several devices in a scenario.

This happens before overrides and before validation, so that ``--set device.2.write_rate=…`` means the third
device and every error names the device it is about.
"""

from __future__ import annotations

import copy
from typing import Any

from migemu.scenario.names import MAX_DEVICES
from migemu.scenario.problem import Problem


def expand(data: dict[str, Any]) -> tuple[list[int], list[Problem]]:
    """Repeat each device table `count` times, in place.

    Returns:
        For each device the number of its table, counted from 1; and what is wrong with the counts.
    """
    tables = data.get("device")
    if not isinstance(tables, list):
        return [], []  # absent, or refused by the models with the right words
    devices: list[Any] = []
    origins: list[int] = []
    problems: list[Problem] = []
    for number, table in enumerate(tables, start=1):
        count = table.pop("count", 1) if isinstance(table, dict) else 1
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_DEVICES:
            text = f"must be a whole number from 1 to {MAX_DEVICES}, not {count!r}"
            problems.append(Problem(("device", len(devices), "count"), text))
            count = 1
        devices += [_repeated(table, n) for n in range(count)]
        origins += [number] * count
    data["device"] = devices
    return origins, problems


def resize(data: dict[str, Any], count: int) -> None:
    """Make it `count` devices, in place: leave out the last ones, or repeat them from the first on.

    Repeated devices are numbered anew, because an id can only be used once.
    """
    devices = data.get("device") or [{}]
    if not isinstance(devices, list):
        return
    repeated = [copy.deepcopy(devices[i % len(devices)]) for i in range(count)]
    for device in repeated[len(devices) :]:
        if isinstance(device, dict):
            device.pop("id", None)
    data["device"] = repeated


def _repeated(table: object, number: int) -> object:
    """Copy number `number` of a device table, with ``{n}`` in its id filled in."""
    device = copy.deepcopy(table)
    if isinstance(device, dict) and isinstance(device.get("id"), str):
        device["id"] = device["id"].replace("{n}", str(number))
    return device
