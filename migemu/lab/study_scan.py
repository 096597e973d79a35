"""What a study varies: ``--scan key=v1,v2``, and the grid of points that several of them span.

A key is anything that ``--set`` takes, or a study key, ``skew`` or ``rate_skew`` (see
:mod:`migemu.lab.study_skew`). The
points' order is the scans' own, the last one running fastest, as in nested loops.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.errors import ConfigError, UsageError
from migemu.lab.study_skew import SKEWS, skewed
from migemu.scenario import with_overrides

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.lab.runner import Runner
    from migemu.scenario import Scenario

MOST_POINTS = 10_000
"""Points of a grid; more is a slip of the hand, and would not end in a week."""

Settings = tuple[tuple[str, str], ...]
"""Keys and values of a point, as a person wrote them."""


@dataclass(frozen=True)
class Scan:
    """One key and the values it takes in turn."""

    key: str
    values: tuple[str, ...]

    def numbers(self) -> tuple[float, ...] | None:
        """The values as numbers where every one is a plain number; a curve can be drawn over those."""
        try:
            return tuple(float(value) for value in self.values)
        except ValueError:
            return None


@dataclass(frozen=True)
class Point:
    """One scenario of a study."""

    settings: Settings
    scenario: Scenario
    runner: Runner | None = None
    """What migrates it, where that is not what migrates the others."""

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return point_name(self.settings)


def point_name(settings: Settings) -> str:
    """A point as people read it: ``devices=4, channels=8``."""
    return ", ".join(f"{key}={value}" for key, value in settings)


def parse_scan(text: str) -> Scan:
    """Read ``key=v1,v2``; commas inside brackets and quotes are part of a value.

    Raises:
        UsageError: it is not of that form, or names a value twice.
    """
    key, equals, rest = text.partition("=")
    values = tuple(_split(rest))
    if not equals or not key.strip() or not all(values):
        raise UsageError(f"--scan {text!r}: write key=v1,v2, for example channels=1,2,4")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UsageError(f"--scan {key}: {twice} is there twice")
    return Scan(key.strip(), values)


def _split(text: str) -> list[str]:
    """Cut at commas that no bracket or quote holds."""
    cut, depth, quote = [""], 0, ""
    for char in text:
        quote = "" if char == quote else quote or (char if char in "\"'" else "")
        depth += 0 if quote else (char in "[{") - (char in "]}")
        if char == "," and not depth and not quote:
            cut.append("")
        else:
            cut[-1] += char
    return [value.strip() for value in cut]


def parse_scans(texts: Iterable[str]) -> tuple[Scan, ...]:
    """Read every ``--scan``.

    Raises:
        UsageError: one is wrong, a key comes twice, or the grid is too large.
    """
    scans = tuple(parse_scan(text) for text in texts)
    keys = [scan.key for scan in scans]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise UsageError(f"--scan {twice} is given twice; put all its values into one")
    points = 1
    for scan in scans:
        points *= len(scan.values)
    if points > MOST_POINTS:
        raise UsageError(f"a grid of {points} points; at most {MOST_POINTS} are possible")
    return scans


def combinations(scans: Sequence[Scan]) -> list[Settings]:
    """Every point's settings, the last scan's key running fastest."""
    columns = [[(scan.key, value) for value in scan.values] for scan in scans]
    return list(itertools.product(*columns))


def point(base: Scenario, settings: Settings) -> Point:
    """The scenario of a point.

    Raises:
        ConfigError: a value is wrong or cannot be combined with the rest.
    """
    plain = [f"{key}={value}" for key, value in settings if key not in SKEWS]
    try:
        scenario = with_overrides(base, plain)
        for key, value in settings:
            if key in SKEWS:
                scenario = skewed(scenario, key, value)
    except ConfigError as error:
        raise ConfigError(str(error).replace("--set ", "--scan ")) from None
    return Point(settings, scenario)


def grid(base: Scenario, scans: Sequence[Scan]) -> list[Point]:
    """Every point of a study.

    Raises:
        ConfigError: one of them cannot be.
    """
    return [point(base, settings) for settings in combinations(scans)]
