"""What a campaign does, as a file: a kind, what it needs to know, and which items."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from migemu import __version__
from migemu.errors import ConfigError, UsageError
from migemu.lab.campaign import points
from migemu.lab.campaign.work import empty_report, key_of

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.lab.explore.shards import Spec

SCHEMA = "migemu.campaign/1"

MOST = 1 << 60
"""Items of a campaign."""

Range = tuple[int, int]
"""First item, and how many."""


@dataclass(frozen=True)
class Campaign:
    """A campaign.

    Args:
        raw: as `run_shard` takes it: kind, what, version.
        first: item.
        count: how many.
    """

    raw: dict[str, Any]
    first: int
    count: int

    @classmethod
    def exploration(cls, spec: Spec, first: int, count: int) -> Self:
        """Schedules of the seeds `first` … `first + count - 1`."""
        return cls({"kind": "exploration", "what": spec.as_dict(), "migemu": __version__}, first, count)

    @classmethod
    def sweep(cls, scenario: str, scans: list[tuple[str, list[str]]], runs: int) -> Self:
        """Every point of a grid, `runs` times, in virtual time.

        Args:
            scenario: TOML.
            scans: keys and their values.
            runs: of each point.

        Raises:
            ConfigError: a value is wrong.
        """
        what = {"scenario": scenario, "scans": [list(scan) for scan in scans], "runs": runs}
        return cls({"kind": "sweep", "what": what, "migemu": __version__}, 0, points.items_of(what))

    @classmethod
    def from_dict(cls, told: Any) -> Self:
        """Read what `as_dict` wrote, or a person.

        Raises:
            ConfigError: it is wrong.
        """
        if not isinstance(told, dict) or told.get("schema") != SCHEMA:
            raise ConfigError(f'not a campaign: "schema" should be "{SCHEMA}"')
        unknown = told.keys() - {"schema", "kind", "what", "migemu", "first", "count"}
        if unknown:
            raise ConfigError(f"a campaign has no {', '.join(sorted(unknown))}")
        first, count = _whole(told, "first"), _whole(told, "count")
        raw = {name: told.get(name) for name in ("kind", "what", "migemu")}
        empty_report(raw)
        return cls(raw, first, count)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"schema": SCHEMA, **self.raw, "first": self.first, "count": self.count}

    @property
    def key(self) -> str:
        """Different for a campaign whose reports do not belong to this one's."""
        return key_of(self.raw)

    def touches(self, first: int, end: int) -> bool:
        """Whether any of the items [first, end) is among these."""
        return first < self.first + self.count and self.first < end

    def share(self, index: int, of: int) -> Self:
        """Part `index` of `of` parts that differ by one item at most.

        Raises:
            UsageError: there is no such part.
        """
        if of < 1 or not 0 <= index < of:
            raise UsageError(f"shard {index} of {of}: the index counts from 0 to {max(of - 1, 0)}")
        begin, end = self.count * index // of, self.count * (index + 1) // of
        return type(self)(self.raw, self.first + begin, end - begin)


def _whole(told: dict[str, Any], name: str) -> int:
    number = told.get(name)
    if type(number) is not int or not 0 <= number <= MOST:  # a bool is an int as well
        raise ConfigError(f"a campaign's {name}: a whole number from 0 on")
    return number


def read(path: Path) -> Campaign:
    """The campaign in a file.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    try:
        return Campaign.from_dict(told)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def cut(gaps: list[Range], size: int) -> list[Range]:
    """Pieces of `size` items at most that cover `gaps`."""
    return [
        (start, min(size, first + count - start))
        for first, count in gaps
        for start in range(first, first + count, size)
    ]
