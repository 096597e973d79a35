"""``--executor local``: shards on processes of this machine."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from migemu.lab.campaign.pool import Pool
from migemu.lab.campaign.work import run_shard

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from migemu.lab.campaign.plan import Range
    from migemu.lab.campaign.pool import OnLost


class Local:
    """Processes of this machine.

    Args:
        jobs: how many.
        on_lost: is told when one was lost.
    """

    def __init__(self, jobs: int, on_lost: OnLost = lambda _told: None) -> None:
        self.size = jobs
        self.pool = Pool(jobs, on_lost)

    def each(self, raw: dict[str, Any], pieces: Sequence[Range]) -> Generator[dict[str, Any]]:
        """The report of each piece as it is finished; the pieces of a lost process are done again."""
        calls = ((raw, first, count) for first, count in pieces)
        with closing(self.pool.each(run_shard, calls)) as done:
            for _, report in done:
                yield report
