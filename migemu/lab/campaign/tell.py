"""A campaign's report for people, and how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from migemu.lab.campaign import points
from migemu.lab.campaign.work import kind_of
from migemu.lab.explore.shards import Spec, earliest, missing
from migemu.lab.explore.tokens import encode
from migemu.scenario import format_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.lab.campaign.plan import Campaign

EVERY_SECONDS = 5.0
"""Between two lines of progress."""

SHOWN = 20
"""Kinds of failure that are told."""


def covered(report: dict[str, Any]) -> int:
    """How many items a report speaks of."""
    return sum(end - first for first, end in report["ranges"])


class Progress:
    """Says now and then how far a campaign is.

    Args:
        campaign: what is done.
        say: takes a line.
        clock: real time in seconds.
    """

    def __init__(
        self, campaign: Campaign, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._campaign = campaign
        self._item = kind_of(campaign.raw).item
        self._say = say
        self._clock = clock
        self._started = self._last = clock()
        self._begun: int | None = None

    def __call__(self, report: dict[str, Any]) -> None:
        """A shard is finished."""
        done, now = covered(report), self._clock()
        if self._begun is None:
            self._begun = done
        if now - self._last < EVERY_SECONDS:
            return
        self._last = now
        rate = (done - self._begun) / (now - self._started)
        left = sum(count for _, count in missing(report, self._campaign.first, self._campaign.count))
        self._say(f"{done:,} {self._item}, {rate:,.0f}/s, {left:,} left{_so_far(report)}")


def _so_far(report: dict[str, Any]) -> str:
    found = earliest(report)
    if found is None:
        return ""
    kinds = len(report["failures"])
    return f"; {kinds} kind{'s' * (kinds != 1)} of failure, the earliest at {found['seed']}"


def lines(campaign: Campaign, report: dict[str, Any]) -> list[str]:
    """What came of it."""
    raw = campaign.raw
    head = [f"{covered(report):,} {kind_of(raw).item} of campaign {campaign.key}"]
    if "schedules" in report:
        head = [f"{head[0]}: {report['schedules']:,} schedules, {report['steps']:,} steps"]
    gaps = missing(report, campaign.first, campaign.count)
    told = [f"missing: {first} … {first + count - 1}" for first, count in gaps[:SHOWN]]
    failures = [_failure(name, found) for name, found in list(report["failures"].items())[:SHOWN]]
    more = len(report["failures"]) - SHOWN
    failures += [f"and {more} more kinds of failure"] if more > 0 else []
    if raw["kind"] == "sweep":
        head += [
            f"  {name or 'the scenario'}: downtime {format_time(value)}"
            for name, value in points.medians(report, "downtime").items()
        ]
    word = token(campaign, report)
    return [*head, *told, *(failures or ["no failure"]), *([f"token: {word}"] if word else [])]


def _failure(name: str, found: dict[str, Any]) -> str:
    where = found.get("strategy") or found.get("point")
    return f"{name}: {found['count']:,} times, earliest {found['seed']} ({where}): {found['message']}"


def token(campaign: Campaign, report: dict[str, Any]) -> str | None:
    """The earliest failing schedule as a word that replays it; None if nothing fails or has no such word."""
    found = earliest(report)
    if found is None or campaign.raw["kind"] != "exploration":
        return None
    spec = Spec.from_dict(campaign.raw["what"])
    text = getattr(spec.make_system(), "text", None)
    return None if text is None else encode(found["decisions"], text(), spec.rules)
