"""Probabilistic concurrency testing: random priorities, lowered at a few random moments.

Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees of
Finding Bugs" (ASPLOS 2010): with n threads and k decisions, a bug that needs d ordered events is hit with a
probability of at least 1 / (n k^(d-1)). The thread with the highest priority runs; d - 1 of the k decisions,
drawn in advance, lower the running one below all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.explore.dice import Dice
from migemu.lab.explore.sampled import Sampled

if TYPE_CHECKING:
    from migemu.threads.controlled_task import Task

FAULT_PROBABILITY = 0.25
"""That an option is not the ordinary one."""


class PctChooser:
    """The decisions of one seed."""

    __slots__ = ("_count", "_dice", "_drops", "_priorities", "taken")

    def __init__(self, seed: int, depth: int, length: int) -> None:
        self._dice = dice = Dice(seed, "pct ")
        self._drops = {dice.roll(length) for _ in range(depth - 1)}
        self._priorities: dict[int, float] = {}
        self._count = 0
        self.taken: list[int] = []

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The thread with the highest priority."""
        if current is not None and self._count in self._drops:
            self._priorities[current.tid] = -float(self._count)
        self._count += 1
        best, choice = self._priority(ready[0] if current is None else current), 0
        for place, task in enumerate(ready, current is not None):
            priority = self._priority(task)
            if priority > best:
                best, choice = priority, place
        self.taken.append(choice)
        return choice

    def _priority(self, task: Task) -> float:
        priority = self._priorities.get(task.tid)
        if priority is None:
            priority = self._priorities[task.tid] = 1.0 + self._dice.fraction()
        return priority

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  all kinds alike
        """Mostly the ordinary way."""
        ordinary = self._dice.fraction() >= FAULT_PROBABILITY
        choice = 0 if ordinary else 1 + self._dice.roll(options - 1)
        self.taken.append(choice)
        return choice


class Pct(Sampled):
    """One schedule of random priorities a seed.

    Args:
        depth: how many ordered events a bug may need; depth - 1 priorities are lowered.
        length: how many decisions a schedule has, about.
        first: seed.
    """

    def __init__(self, depth: int = 3, length: int = 50, first: int = 0) -> None:
        super().__init__(first)
        self.name = f"pct({depth})"
        self._depth = depth
        self._length = length

    def chooser(self, seed: int) -> PctChooser:
        """Decides the schedule `seed`."""
        return PctChooser(seed, self._depth, self._length)
