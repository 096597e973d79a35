"""Depth-first search that knows the states it has been in: each is left by each thread once.

Where two independent halves of a system (two devices) have many orders each, a search over schedules tries
all pairs of them, a search over states only as many as there are states. Two schedules are taken to lead to
the same state when their fingerprints agree (see :mod:`migemu.lab.explore.fingerprint`); with sleep sets,
steps that commute are still tried in one order only (Godefroid, "Partial-Order Methods for the Verification
of Concurrent Systems", chapter 6: the threads that were tried are kept with the state, and a state that is
met again is left by those that were asleep before and are not now).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.explore.dfs import Dfs
from migemu.lab.explore.fingerprint import Fingerprints
from migemu.lab.explore.plan import Plan, Run
from migemu.lab.explore.tree import SourceNode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.threads.controlled_task import Task


class States(Dfs):
    """All states, depth first.

    Args:
        ignore: what does not influence the system, see :class:`Fingerprints`.
    """

    name = "states"

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        super().__init__()
        self._prints = Fingerprints(ignore)
        self._left_by: dict[int, int] = {}
        self._warm = False

    def plan(self) -> Plan | None:
        """The next schedule; before the first one, a run that is not one, to see what stays the same."""
        if not self._warm:
            return Plan(rehearsal=True)
        return super().plan()

    def learn(self, run: Run) -> None:
        """Remember the footprints of the steps that were taken."""
        if not self._warm:
            self._warm = True
            self._prints.know_constants()
            return
        self.saw(run)

    def extent(self) -> str:
        """How many states there are."""
        return f", {len(self._left_by)} states, told apart by what can be seen of them"

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The first thread by which this state has not been left and that is not asleep."""
        menu = [task.tid for task in ready]
        if current is not None:
            menu.insert(0, current.tid)
        self.first_awake(menu)
        if len(menu) == 1:
            return 0
        engine = self._engine
        awake = sum(1 << tid for tid in menu if tid not in engine.sleep)
        state = self._prints.of(engine, engine.subject, current)
        left_by = self._left_by.get(state, 0)
        todo = awake & ~left_by
        if not todo:
            engine.stop("pruned")
        self._left_by[state] = left_by | todo
        choice = next(place for place, tid in enumerate(menu) if todo >> tid & 1)
        self._script.append(choice)
        node = SourceNode(engine.steps, tuple(menu), choice, engine.sleep)
        node.todo = todo
        self._sources[engine.steps] = node
        self._nodes.append(node)
        return choice
