"""What the environment and the command line say over a file: ``key=value`` on plain tables.

A key is the path into the scenario: ``migration.channels``, ``device.0.write_rate``, ``device.*.state_size``
for every device. Two short ones exist because sweeps use them most: ``channels`` and ``devices``.

A value is read as TOML where it is TOML (``8``, ``true``, ``{ STOP_COPY = "20 ms" }``) and as text otherwise,
so that sizes need no second pair of quotes: ``device.0.state_size=100 MiB``.
"""

from __future__ import annotations

import copy
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from migemu.errors import ConfigError
from migemu.scenario.expand import expand, resize
from migemu.scenario.names import MAX_DEVICES
from migemu.scenario.problem import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from migemu.scenario.problem import KeyPath

_SHORT = {"channels": "migration.channels"}
_DEVICES = "devices"
_PREFIX = "MIGEMU_"
_SET = "SET__"


class Override(NamedTuple):
    """One value for one key, and what to call the place it came from."""

    key: str
    value: Any
    label: str


def command_line(settings: Iterable[str]) -> list[Override]:
    """Read the values of ``--set``.

    Raises:
        ConfigError: one is not ``key=value``.
    """
    found = []
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key or "" in key.split("."):
            raise ConfigError(f"--set {setting!r}: write key=value, for example migration.channels=8")
        found.append(Override(_SHORT.get(key, key), _read_value(value.strip()), f"--set {key}"))
    return found


def environment(environ: Mapping[str, str]) -> list[Override]:
    """Find the settings among environment variables.

    ``MIGEMU_MIGRATION__CHANNELS`` and ``MIGEMU_SET__MIGRATION__CHANNELS`` are the same key, the second wins;
    ``ALL`` stands for ``*``. Variables without a double underscore are not settings.
    """
    found = []
    for name in sorted(environ, key=lambda name: (name.startswith(_PREFIX + _SET), name)):
        rest = name.removeprefix(_PREFIX)
        if rest == name or "__" not in rest:
            continue
        parts = ["*" if part == "all" else part for part in rest.removeprefix(_SET).lower().split("__")]
        found.append(Override(".".join(parts), _read_value(environ[name].strip()), name))
    return found


def apply(data: dict[str, Any], overrides: Iterable[Override]) -> dict[KeyPath, str]:
    """Put overrides into a scenario's tables, in place; later ones win, ``devices`` goes first.

    Returns:
        For each key that was set, where its value came from.

    Raises:
        ConfigError: a key leads through a value that is not a table, or to a device that is not there.
    """
    said: dict[KeyPath, str] = {}
    for override in sorted(overrides, key=lambda override: override.key != _DEVICES):
        if override.key == _DEVICES:
            resize(data, _device_count(override))
            continue
        for path in _paths(data, override):
            _assign(data, path, override)
            said[path] = override.label
    return said


def apply_overrides(raw: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of a scenario's tables with ``key=value`` settings put in, devices with a count repeated.

    Raises:
        ConfigError: a setting has no value, or leads nowhere.
    """
    data = copy.deepcopy(dict(raw))
    _origins, problems = expand(data)
    if problems:
        raise ConfigError("\n".join(f"{dotted(problem.path)}: {problem.text}" for problem in problems))
    apply(data, command_line(settings))
    return data


def _read_value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


def _device_count(override: Override) -> int:
    count = override.value
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_DEVICES:
        raise ConfigError(f"{override.label}: must be a whole number from 0 to {MAX_DEVICES}, not {count!r}")
    return count


def _paths(data: dict[str, Any], override: Override) -> Iterator[KeyPath]:
    """The keys an override means: one, or one for every device."""
    head, *rest = _spelled(override.key.split("."))
    devices = data.get("device", [])
    if head != "device" or not rest or not isinstance(devices, list):
        yield (head, *rest)
    elif rest[0] == "*":
        for i in range(len(devices)):
            yield ("device", i, *rest[1:])
    elif rest[0].isdecimal() and int(rest[0]) < len(devices):
        yield ("device", int(rest[0]), *rest[1:])
    else:
        there = f"device.0 to device.{len(devices) - 1}, or device.* for all" if devices else "none"
        raise ConfigError(f"{override.label}: there is no device.{rest[0]}; there is {there}")


def _spelled(parts: list[str]) -> list[str]:
    """States are written in capitals; the environment's keys are not."""
    states = [i + 1 for i, part in enumerate(parts[:-1]) if part == "transition_times"]
    return [part.upper() if i in states else part for i, part in enumerate(parts)]


def _assign(data: dict[str, Any], path: KeyPath, override: Override) -> None:
    at: Any = data
    for depth, part in enumerate(path[:-1], start=1):
        at = at[part] if isinstance(part, int) else at.setdefault(part, {})
        if not isinstance(at, (dict, list)) or (isinstance(at, list) and not isinstance(path[depth], int)):
            raise ConfigError(f"{override.label}: {dotted(path[:depth])} is not a table, it has no keys")
    at[path[-1]] = override.value
