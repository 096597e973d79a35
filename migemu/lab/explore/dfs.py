"""Depth-first search over all schedules, with partial-order reduction unless it is switched off.

With the reduction on, schedules that differ only in the order of steps that commute are tried once (source
sets and sleep sets, see :mod:`migemu.lab.explore.races`). With a bound on preemptions it is off: a reduction
may leave out the one representative that lies inside the bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.explore.plan import Plan, Run
from migemu.lab.explore.races import History
from migemu.lab.explore.tree import Node, OptionNode, SourceNode, StopNode

if TYPE_CHECKING:
    from migemu.threads.controlled_decider import Sleepers
    from migemu.threads.controlled_engine import Engine, StepLog
    from migemu.threads.controlled_task import Task


class Dfs:
    """All schedules, depth first.

    Args:
        reduce: leave out schedules that only reorder steps which commute.
        preemptions: try only schedules that stop a thread which could go on at most so often.
        depth: branch only in the first so many decisions.
    """

    name = "dfs"

    def __init__(
        self, *, reduce: bool = True, preemptions: int | None = None, depth: int | None = None
    ) -> None:
        self.reduce = reduce and preemptions is None
        self.preemptions = preemptions
        self.depth = depth
        self._cut = False
        self._nodes: list[Node] = []
        self._sources: dict[int, SourceNode] = {}
        self._script: list[int] = []
        self._history = History()
        self._log: StepLog = []
        self._base = 0
        self._asleep: Sleepers = {}
        self._started = False
        self._engine: Engine

    def bind(self, engine: Engine) -> None:
        """All runs will be this engine's."""
        self._engine = engine

    def plan(self) -> Plan | None:
        """The next schedule; None when all have been tried."""
        if self._started and not self._backtrack():
            return None
        self._started = True
        self._log = []
        return Plan(self._script, self, self._base, self._asleep, self._log if self.reduce else None)

    def _backtrack(self) -> bool:
        """Turn to what is left at the deepest node that has something left."""
        nodes = self._nodes
        del self._script[len(nodes) :]
        while nodes:
            node = nodes[-1]
            if node.advance():
                self._script[-1] = node.choice
                self._base, self._asleep = node.step, node.sleep
                return True
            nodes.pop()
            self._script.pop()
            if isinstance(node, SourceNode):
                del self._sources[node.step]
        return False

    def learn(self, run: Run) -> None:
        """Find the races of the last run and ask for their other order."""
        if not self.reduce:
            return
        self._history.shrink(self._base)
        for step, entry in enumerate(self._log, self._base):
            node = self._sources.get(step)
            if node is not None:
                node.saw(entry[1], entry[2])
            for race in self._history.add(entry):
                self._insist(*race)
        for wish in run.blocked:
            for race in self._history.wish(*wish):
                self._insist(*race)

    def _insist(self, step: int, initials: int, preferred: int) -> None:
        node = self._sources.get(step)
        if node is not None:
            node.insist(initials, preferred)

    def decisions(self) -> list[int]:
        """All decisions of the last run."""
        return list(self._script)

    def verdict(self) -> str | None:
        """The bound that kept this search from being complete."""
        if self._cut:
            return f"all schedules that differ in their first {self.depth} decisions"
        if self.preemptions is not None:
            return f"all schedules with at most {self.preemptions} preemptions"
        return None

    def label(self) -> str:
        """How the last schedule was made."""
        return "dfs"

    # As the chooser of its runs, beyond the script: everything here is new.

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The first thread that is not asleep; what else there is goes into a new node."""
        menu = [task.tid for task in ready]
        if current is not None:
            menu.insert(0, current.tid)
        choice = self._first_awake(menu)
        if len(menu) > 1:
            self._script.append(choice)
            if not self._too_deep():
                self._nodes.append(self._node(menu, choice, going=current is not None))
        return choice

    def _first_awake(self, menu: list[int]) -> int:
        sleep = self._engine.sleep
        choice = next((place for place, tid in enumerate(menu) if tid not in sleep), -1)
        if choice < 0:
            self._engine.stop("pruned")
        return choice

    def _node(self, menu: list[int], choice: int, *, going: bool) -> Node:
        step = self._engine.steps
        if self.reduce:
            node = self._sources[step] = SourceNode(step, tuple(menu), choice, self._engine.sleep)
            return node
        stops = next((node.stops_below() for node in reversed(self._nodes) if isinstance(node, StopNode)), 0)
        spent = going and self.preemptions is not None and stops >= self.preemptions
        return StopNode(step, 1 if spent else len(menu), stops, going=going)

    def option(self, kind: str, options: int, label: str, /) -> int:  # noqa: ARG002  all ways are tried
        """The ordinary way first."""
        self._script.append(0)
        if not self._too_deep():
            step = self._engine.steps
            sleep = self._asleep if step == self._base else self._engine.sleep
            self._nodes.append(OptionNode(step, options, sleep))
        return 0

    def _too_deep(self) -> bool:
        self._cut = self._cut or (self.depth is not None and len(self._nodes) >= self.depth)
        return self.depth is not None and len(self._nodes) >= self.depth
