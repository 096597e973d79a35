"""``--jobs N``: the shards of an exploration on the processes of this machine."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from migemu.lab.campaign.pool import Pool
from migemu.lab.explore.shards import empty_report, merge, missing, run_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.lab.explore.shards import Spec


def run_jobs(
    spec: Spec,
    first: int,
    count: int,
    *,
    jobs: int = 1,
    shard: int = 2000,
    report: dict[str, Any] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Run seeds in `jobs` processes and merge their reports.

    Args:
        spec: what is explored.
        first: seed.
        count: how many seeds.
        jobs: processes; 1 runs in this one.
        shard: seeds of one piece of work.
        report: an earlier report to go on from; its seeds are not run again.
        progress: called with the report so far after each shard.

    Returns:
        The report of all these seeds; the same for every number of jobs and size of shards.
    """
    so_far = report or empty_report(spec)
    pieces = [
        (start, min(shard, end - start))
        for gap, size in missing(so_far, first, count)
        for end in [gap + size]
        for start in range(gap, end, shard)
    ]
    for done in _results(spec.as_dict(), pieces, jobs):
        so_far = merge(so_far, done)
        if progress is not None:
            progress(so_far)
    return so_far


def _results(spec: dict[str, Any], pieces: list[tuple[int, int]], jobs: int) -> Iterator[dict[str, Any]]:
    """The reports of the pieces, as they come; a lost process costs time only, and Ctrl-C ends them all."""
    if jobs <= 1 or len(pieces) <= 1:
        for first, count in pieces:
            yield run_shard(spec, first, count)
        return
    calls = ((spec, first, count) for first, count in pieces)
    with closing(Pool(min(jobs, len(pieces))).each(run_shard, calls)) as done:
        for _, report in done:
            yield report
