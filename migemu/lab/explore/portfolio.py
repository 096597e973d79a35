"""Several strategies by turns: none is best for every bug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.explore.dfs import Dfs
from migemu.lab.explore.pct import Pct
from migemu.lab.explore.randomwalk import RandomWalk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.explore.plan import Plan, Run, Strategy
    from migemu.threads.controlled_engine import Engine


class Portfolio:
    """Takes a schedule from each of its members in turn; over when one of them has tried everything."""

    name = "portfolio"

    def __init__(self, members: Sequence[Strategy]) -> None:
        self._members = list(members)
        self._turn = -1
        self._member = self._members[0]

    @classmethod
    def usual(cls, length: int, first: int = 0) -> Portfolio:
        """The search by few preemptions, two depths of PCT and a random walk.

        Args:
            length: how many decisions a schedule has, about.
            first: seed.
        """
        return cls([Dfs(), Pct(2, length, first), Pct(4, length, first), RandomWalk(first)])

    def bind(self, engine: Engine) -> None:
        """All runs will be this engine's."""
        for member in self._members:
            member.bind(engine)

    def plan(self) -> Plan | None:
        """The next schedule of the next member."""
        self._turn = (self._turn + 1) % len(self._members)
        self._member = self._members[self._turn]
        return self._member.plan()

    def learn(self, run: Run) -> None:
        """The member whose schedule it was learns from it."""
        self._member.learn(run)

    def decisions(self) -> list[int]:
        """All decisions of the last run."""
        return self._member.decisions()

    def verdict(self) -> str | None:
        """The bound of the member that ended."""
        return self._member.verdict()

    def extent(self) -> str:
        """What the member that ended has to say."""
        return self._member.extent()

    def label(self) -> str:
        """How the last schedule was made."""
        return self._member.label()
