"""What the random strategies share: one schedule a seed, each seed a schedule of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from migemu.lab.explore.plan import Plan, Run

if TYPE_CHECKING:
    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task


class SeededChooser(Protocol):
    """A chooser that remembers what it has decided."""

    taken: list[int]

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """Who runs next."""
        ...

    def option(self, kind: str, options: int, label: str, /) -> int:
        """Which way the running step takes."""
        ...


class Sampled:
    """Schedules drawn by seed, beginning with `first`; never exhausted.

    A schedule is a pure function of its seed, whatever was run before it: campaigns on many machines and a
    single run find the same.
    """

    name = "sampled"

    def __init__(self, first: int = 0) -> None:
        self.seed = first - 1
        self._chooser: SeededChooser | None = None

    def bind(self, engine: Engine) -> None:
        """All runs will be this engine's."""

    def chooser(self, seed: int) -> SeededChooser:
        """Decides the schedule `seed`."""
        raise NotImplementedError

    def plan(self) -> Plan:
        """The schedule of the next seed."""
        self.seed += 1
        self._chooser = self.chooser(self.seed)
        return Plan(chooser=self._chooser)

    def learn(self, run: Run) -> None:
        """There is nothing to learn."""

    def decisions(self) -> list[int]:
        """All decisions of the last run."""
        return [] if self._chooser is None else self._chooser.taken

    def verdict(self) -> str | None:
        """A sample is never everything."""
        return None

    def extent(self) -> str:
        """Nothing to say beyond the number of schedules."""
        return ""

    def label(self) -> str:
        """How the last schedule was made."""
        return f"{self.name}, seed {self.seed}"
