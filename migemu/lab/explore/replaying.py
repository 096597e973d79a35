"""Choosers that follow a known schedule: by place, or by what it says about threads.

Numbers in a schedule count places, and leaving one deviation out shifts what the later numbers mean. So a
schedule can also be held as *directives*: at the n-th decision that follows a step of this thread, run that
thread. Directives keep their meaning when another one is left out, and shrinking builds on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task

Key = tuple[str, int, int]
"""Kind, thread number of the last step, and the how-manieth decision of that kind after such a step."""


class Follower:
    """Takes given decisions where they are possible, else 0.

    Attributes:
        taken: the decisions it took.
        sizes: how many ways there were at each.
    """

    def __init__(self, decisions: Sequence[int]) -> None:
        self._decisions = decisions
        self.taken: list[int] = []
        self.sizes: list[int] = []

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The next decision."""
        return self._take(len(ready) if current is None else len(ready) + 1)

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  all kinds alike
        """The next decision."""
        return self._take(options)

    def _take(self, options: int) -> int:
        place = len(self.taken)
        choice = self._decisions[place] if place < len(self._decisions) else 0
        if choice >= options:
            choice = 0
        self.taken.append(choice)
        self.sizes.append(options)
        return choice


class Director:
    """Follows directives; without any, it writes down those of another chooser's decisions.

    Attributes:
        taken: the decisions it took.
        followed: the directives that came into play.
    """

    def __init__(self, engine: Engine, directives: Mapping[Key, int]) -> None:
        self._engine = engine
        self._directives = directives
        self._counts: dict[tuple[str, int], int] = {}
        self.taken: list[int] = []
        self.followed: dict[Key, int] = {}

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The thread that the directive for this place names, if it can run."""
        key = self.key("thread")
        wanted = self._directives.get(key)
        tasks = ready if current is None else [current, *ready]
        choice = 0
        if wanted is not None:
            choice = next((place for place, task in enumerate(tasks) if task.tid == wanted), 0)
        return self._took(key, choice, tasks[choice].tid)

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  the key says enough
        """The way that the directive for this place names."""
        key = self.key(kind)
        choice = self._directives.get(key, 0)
        if choice >= options:
            choice = 0
        return self._took(key, choice, choice)

    def key(self, kind: str) -> Key:
        """The place of the decision that is due."""
        tid = self._engine.current.tid
        count = self._counts.get((kind, tid), 0)
        self._counts[kind, tid] = count + 1
        return kind, tid, count

    def _took(self, key: Key, choice: int, meant: int) -> int:
        if choice:
            self.followed[key] = meant
        self.taken.append(choice)
        return choice


class Scribe(Director):
    """Takes decisions by place, as a Follower, and writes down what they mean as directives."""

    def __init__(self, engine: Engine, decisions: Sequence[int]) -> None:
        super().__init__(engine, {})
        self._follower = Follower(decisions)

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The next decision."""
        choice = self._follower.thread(current, ready)
        tasks = ready if current is None else [current, *ready]
        return self._took(self.key("thread"), choice, tasks[choice].tid)

    def option(self, kind: str, options: int, label: str, /) -> int:
        """The next decision."""
        choice = self._follower.option(kind, options, label)
        return self._took(self.key(kind), choice, choice)
