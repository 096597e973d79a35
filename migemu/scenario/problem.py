"""One thing that is wrong with a scenario, before it becomes a line of an error."""

from __future__ import annotations

from typing import NamedTuple

KeyPath = tuple[str | int, ...]
"""Where a key is: ``("device", 0, "write_rate")``."""


class Problem(NamedTuple):
    """What is wrong, and at which key."""

    path: KeyPath
    text: str


def dotted(path: KeyPath) -> str:
    """A key as ``--set`` names it: ``device.0.write_rate``."""
    return ".".join(str(part) for part in path)
