"""Running a campaign: find out how long an item takes, cut what is left into shards, keep each, merge."""

from __future__ import annotations

import math
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from migemu.lab.campaign.plan import cut
from migemu.lab.campaign.work import run_shard
from migemu.lab.explore.shards import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from migemu.lab.campaign.kept import Memory
    from migemu.lab.campaign.plan import Campaign, Range

LEAST_SECONDS = 2.0
"""Work of a shard: well over the second below which handing it out costs more than doing it."""

MOST_SECONDS = 10.0
"""Work of a shard: what a lost worker loses."""

SHARDS_EACH = 8
"""Shards for each worker, where there is enough work: they all end at about the same time."""

PILOT_SECONDS = 0.25
"""After which it is known how long an item takes."""


class Workers(Protocol):
    """Do shards, here or elsewhere."""

    @property
    def size(self) -> int:
        """How many at a time."""
        ...

    def each(self, raw: dict[str, Any], pieces: Sequence[Range]) -> Generator[dict[str, Any]]:
        """The report of each piece as it is finished; closing the iterator cancels the rest.

        Raises:
            MigemuError: a piece failed, or cost too many workers.
        """
        ...


class Here:
    """One shard after the other, in this process."""

    size = 1

    def each(self, raw: dict[str, Any], pieces: Sequence[Range]) -> Generator[dict[str, Any]]:
        """Run the pieces in order."""
        for first, count in pieces:
            yield run_shard(raw, first, count)


def run_campaign(
    campaign: Campaign,
    workers: Workers,
    kept: Memory,
    *,
    shard: int | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda _report: None,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Any]:
    """Do what is still to be done of a campaign.

    Args:
        campaign: what.
        workers: by whom.
        kept: what is finished already, and where the rest goes.
        shard: items of a shard; None for as many as take some seconds.
        progress: called with the report so far after each shard.
        clock: seconds, for sizing; of this process, so that a busy machine does not make shards small.

    Returns:
        The report of all items; the same for all workers, sizes and interruptions.
    """

    def add(report: dict[str, Any]) -> None:
        kept.add(report)
        progress(kept.report)

    def left() -> list[Range]:
        return missing(kept.report, campaign.first, campaign.count)

    size = shard or pilot(campaign.raw, left, add, workers.size, clock)
    with closing(workers.each(campaign.raw, cut(left(), size))) as reports:  # an error cancels the rest
        for report in reports:
            add(report)
    return kept.report


def pilot(
    raw: dict[str, Any],
    left: Callable[[], list[Range]],
    add: Callable[[dict[str, Any]], None],
    workers: int,
    clock: Callable[[], float],
) -> int:
    """Do ever more items here until the time they take can be told; nothing of it is done in vain.

    Returns:
        How many items a shard should have.
    """
    count = 1
    while gaps := left():
        first, size = gaps[0][0], min(count, gaps[0][1])
        started = clock()
        add(run_shard(raw, first, size))
        seconds = clock() - started
        # The first item also pays for imports and reading the scenario: it tells nothing unless it is huge.
        if seconds >= (LEAST_SECONDS if count == 1 else PILOT_SECONDS):
            return shard_size(seconds / size, sum(number for _, number in left()), workers)
        count *= 2
    return 1


def shard_size(each: float, items: int, workers: int) -> int:
    """Items of a shard.

    Args:
        each: seconds of an item.
        items: to be divided.
        workers: among whom.
    """
    fair = each * items / (workers * SHARDS_EACH)
    return max(1, math.ceil(min(max(fair, LEAST_SECONDS), MOST_SECONDS) / each))
