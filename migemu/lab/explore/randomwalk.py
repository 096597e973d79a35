"""Random walk: every decision uniform among what there is."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from migemu.lab.explore.sampled import Sampled

if TYPE_CHECKING:
    from migemu.threads.controlled_task import Task


class RandomChooser:
    """Uniform decisions from one seed."""

    __slots__ = ("_random", "taken")

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311  schedules, not secrets
        self.taken: list[int] = []

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """Any thread that can run."""
        options = len(ready) if current is None else len(ready) + 1
        choice = int(self._random() * options)
        self.taken.append(choice)
        return choice

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  all kinds alike
        """Any way."""
        choice = int(self._random() * options)
        self.taken.append(choice)
        return choice


class RandomWalk(Sampled):
    """One uniformly random schedule a seed."""

    name = "random"

    def chooser(self, seed: int) -> RandomChooser:
        """Decides the schedule `seed`."""
        return RandomChooser(seed)
