"""The kinds of campaign, and a shard of any kind: JSON in, JSON out.

A kind's report has ``format``, ``spec`` (what it belongs to), ``ranges`` (the items it covers) and
``failures`` (for each kind of failure the earliest item); what else it holds is the kind's own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migemu import __version__
from migemu.errors import ConfigError, MigemuError, UsageError
from migemu.lab.campaign import points
from migemu.lab.explore import shards

if TYPE_CHECKING:
    from collections.abc import Callable

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One kind of campaign."""

    run: Callable[[JsonObject, int, int], JsonObject]
    empty: Callable[[JsonObject], JsonObject]
    merge: Callable[[JsonObject, JsonObject], JsonObject]
    item: str
    """What is counted."""


KINDS = {
    "exploration": Kind(
        shards.run_shard,
        lambda what: shards.empty_report(shards.Spec.from_dict(what)),
        shards.merge,
        "seeds",
    ),
    "sweep": Kind(points.run_shard, points.empty_report, points.merge, "runs"),
}


def kind_of(raw: JsonObject) -> Kind:
    """The kind of a specification.

    Raises:
        ConfigError: there is no such kind.
    """
    try:
        return KINDS[raw["kind"]]
    except (KeyError, TypeError):
        raise ConfigError(f"no kind of campaign; there are: {', '.join(KINDS)}") from None


def run_shard(raw: JsonObject, first: int, count: int) -> JsonObject:
    """Do the items `first` … `first + count - 1`; the same report whenever and wherever it is done.

    Args:
        raw: ``kind``, ``what`` (the kind's own specification) and ``migemu`` (the version it was made for).
        first: item.
        count: how many.

    Raises:
        UsageError: this is another version of migemu, where a seed may mean another schedule.
    """
    if raw.get("migemu") != __version__:
        raise UsageError(f"the campaign was planned with migemu {raw.get('migemu')}, here is {__version__}")
    return kind_of(raw).run(raw["what"], first, count)


def empty_report(raw: JsonObject) -> JsonObject:
    """The report before anything has been done.

    Raises:
        ConfigError: the specification is wrong.
    """
    kind = kind_of(raw)
    try:
        return kind.empty(raw["what"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"a campaign's specification is wrong: {type(error).__name__} {error}") from None
    except MigemuError as error:
        raise ConfigError(f"a campaign's specification is wrong: {error}") from None


def merge(raw: JsonObject, one: JsonObject, other: JsonObject) -> JsonObject:
    """The report of both, in either order."""
    return kind_of(raw).merge(one, other)


def key_of(raw: JsonObject) -> str:
    """A short text that is different for a different campaign."""
    told = json.dumps(raw, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
