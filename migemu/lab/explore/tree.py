"""The tree of decisions a systematic search walks: the path of the last run, and what is left at each node.

A node is a decision of the last run: who runs next, or which way a step takes. The search goes depth first:
the deepest node that has something left is changed, everything below it is forgotten, and the next run
follows the path down to there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migemu.threads.controlled_decider import Sleepers


class OptionNode:
    """A decision of which all ways are tried, in order.

    Attributes:
        step: the step it is part of, or that it begins.
        options: how many ways there are.
        choice: the way that was taken last.
        sleep: threads asleep during that step.
    """

    __slots__ = ("choice", "options", "sleep", "step")

    def __init__(self, step: int, options: int, sleep: Sleepers) -> None:
        self.step = step
        self.options = options
        self.choice = 0
        self.sleep = sleep

    def advance(self) -> bool:
        """Turn to the next way; False when there is none."""
        self.choice += 1
        return self.choice < self.options

    def dump(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: _plain(getattr(self, name)) for name in ("step", "options", "choice", "sleep")}


class StopNode(OptionNode):
    """A decision who runs next, in a search that counts how often it stops a thread that could go on.

    Attributes:
        stops: how often that has happened above this node.
        going: whether decision 0 is to go on with the running thread.
    """

    __slots__ = ("going", "stops")

    def __init__(self, step: int, options: int, stops: int, *, going: bool) -> None:
        super().__init__(step, options, {})
        self.stops = stops
        self.going = going

    def stops_below(self) -> int:
        """How often a thread was stopped, this node included."""
        return self.stops + (self.going and self.choice > 0)

    def dump(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**super().dump(), "stops": self.stops, "going": self.going}


class SourceNode:
    """A decision who runs next, in a reduced search: only threads that some race asks for are tried.

    Attributes:
        step: the step that it begins.
        menu: the threads that could run; the first is decision 0.
        choice: which of them ran last.
        done: threads that were tried, as bits; todo: those that must be, the tried ones included.
        sleep: threads that need not be tried any more, with the footprint of their next step.
        foot: what the chosen thread's step may have changed, over all ways it took; seen: looked at.
    """

    __slots__ = ("choice", "done", "foot", "menu", "seen", "sleep", "step", "todo")

    def __init__(self, step: int, menu: tuple[int, ...], choice: int, sleep: Sleepers) -> None:
        self.step = step
        self.menu = menu
        self.choice = choice
        self.done = self.todo = 1 << menu[choice]
        self.sleep = sleep
        self.foot = self.seen = 0

    def saw(self, foot: int, seen: int) -> None:
        """The chosen thread's step had this footprint."""
        self.foot |= foot
        self.seen |= seen

    def insist(self, initials: int, preferred: int) -> None:
        """One of the threads `initials` (bits) must be tried here; `preferred` if it is among them."""
        if initials & self.todo or any(initials >> tid & 1 for tid in self.sleep):
            return
        able = [tid for tid in self.menu if initials >> tid & 1]
        if preferred in able:
            self.todo |= 1 << preferred
            return
        for tid in able[:1] or self.menu:  # where none of them can run, any other may be on the way to it
            self.todo |= 1 << tid

    def advance(self) -> bool:
        """Turn to the next thread that has to be tried; False when none is left."""
        self.sleep = {**self.sleep, self.menu[self.choice]: (self.foot, self.seen)}
        left = self.todo & ~self.done
        for choice, tid in enumerate(self.menu):
            if left >> tid & 1:
                self.choice = choice
                self.done |= 1 << tid
                self.foot = self.seen = 0
                return True
        return False

    def dump(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


Node = OptionNode | SourceNode


def _plain(value: Any) -> Any:
    """Threads asleep as a list: JSON has no numbers for keys."""
    return [[tid, *step] for tid, step in value.items()] if isinstance(value, dict) else value


def load_node(saved: dict[str, Any]) -> Node:
    """The node that `dump` has told."""
    sleep: Sleepers = {tid: (foot, seen) for tid, foot, seen in saved["sleep"]}
    if "menu" in saved:
        source = SourceNode(saved["step"], tuple(saved["menu"]), saved["choice"], sleep)
        for name in ("done", "todo", "foot", "seen"):
            setattr(source, name, saved[name])
        return source
    if "stops" in saved:
        node: OptionNode = StopNode(saved["step"], saved["options"], saved["stops"], going=saved["going"])
    else:
        node = OptionNode(saved["step"], saved["options"], sleep)
    node.choice = saved["choice"]
    return node
