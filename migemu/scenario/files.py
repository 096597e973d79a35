"""The files a scenario names: their sizes, and whether a side can use them.

Kept apart from the models because a scenario is read on two machines: device states and RAM files need
only be on the source, and what is kept is only written on the destination.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.scenario.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from migemu.scenario.model import Scenario
    from migemu.scenario.names import Side


def file_size(path: Path) -> int:
    """Bytes of a file.

    Raises:
        ConfigError: it cannot be looked at.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


def file_problems(scenario: Scenario, side: Side | None) -> list[Problem]:
    """Say which files `side` needs and cannot use.

    Args:
        scenario: paths relative to the current folder, or absolute.
        side: the side this process plays; None where it plays both.
    """
    found = []
    if side != "destination":
        found += [Problem(path, why) for path, file in _inputs(scenario) if (why := _unreadable(file))]
    if side != "source":
        found += [Problem(path, why) for path, file in _outputs(scenario) if (why := _unwritable(file))]
    if scenario.tls.on:
        sides: tuple[Side, ...] = ("source", "destination") if side is None else (side,)
        found += [Problem(("tls", name), why) for name, why in _identities(scenario, sides).items()]
    return found


def _identities(scenario: Scenario, sides: tuple[Side, ...]) -> dict[str, str]:
    """What is wrong with the certificates and keys that `sides` need, by field."""
    wrong = {}
    for name, file in (item for side in sides for item in scenario.tls.files(side).items()):
        if file is None:
            wrong[name] = "is needed, both sides show a certificate; name it, or a dir that holds them all"
        elif why := _unreadable(file):
            wrong[name] = why
    return wrong


def _inputs(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], Path]]:
    if scenario.ram.file is not None:
        yield ("ram", "file"), scenario.ram.file
    for i, device in enumerate(scenario.device):
        if device.state is not None:
            yield ("device", i, "state"), device.state
        if device.config is not None:
            yield ("device", i, "config"), device.config


def _outputs(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], Path]]:
    for i, device in enumerate(scenario.device):
        if device.keep is not None:
            yield ("device", i, "keep"), device.keep


def _unreadable(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(mode):
        return f"{path} is not a regular file; a state or RAM image has a size and an end"
    return None if os.access(path, os.R_OK) else f"cannot read {path}: Permission denied"


def _unwritable(path: Path) -> str | None:
    folder = path.parent
    if path.is_dir():
        return f"{path} is a folder; name the file to write"
    if not folder.is_dir():
        return f"the folder {folder} does not exist; create it first"
    target = path if path.exists() else folder
    return None if os.access(target, os.W_OK) else f"cannot write {path}: Permission denied"
