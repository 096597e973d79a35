"""Random walk: every decision uniform among what there is."""

from __future__ import annotations

from hashlib import shake_128
from typing import TYPE_CHECKING

from migemu.lab.explore.dice import FIRST
from migemu.lab.explore.sampled import Sampled

if TYPE_CHECKING:
    from migemu.threads.controlled_task import Task


class RandomChooser:
    """Uniform decisions from one seed: a byte of its hash stream each."""

    __slots__ = ("_bytes", "_name", "taken")

    def __init__(self, seed: int) -> None:
        self._name = f"{seed}".encode()
        self._bytes = shake_128(self._name).digest(FIRST)
        self.taken: list[int] = []

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """Any thread that can run."""
        # Written out, not a call of option(): in a random schedule every step comes by here.
        taken = self.taken
        options = len(ready) if current is None else len(ready) + 1
        try:
            choice = self._bytes[len(taken)] * options >> 8
        except IndexError:
            return self._with_more_bytes(options)
        taken.append(choice)
        return choice

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  all kinds alike
        """Any way."""
        taken = self.taken
        if len(taken) >= len(self._bytes):
            return self._with_more_bytes(options)
        choice = self._bytes[len(taken)] * options >> 8
        taken.append(choice)
        return choice

    def _with_more_bytes(self, options: int) -> int:
        self._bytes = shake_128(self._name).digest(4 * len(self._bytes))
        return self.option("", options, "")


class RandomWalk(Sampled):
    """One uniformly random schedule a seed."""

    name = "random"

    def chooser(self, seed: int) -> RandomChooser:
        """Decides the schedule `seed`."""
        return RandomChooser(seed)
