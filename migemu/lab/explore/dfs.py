"""Depth-first search over all schedules, with partial-order reduction unless it is switched off.

With the reduction on, schedules that differ only in the order of steps that commute are tried once (source
sets and sleep sets, see :mod:`migemu.lab.explore.races`). With a bound on preemptions it is off: a reduction
may leave out the one representative that lies inside the bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from migemu.lab.explore.plan import PRUNED, Plan, Run
from migemu.lab.explore.races import History
from migemu.lab.explore.tree import Node, OptionNode, SourceNode, StopNode, load_node

if TYPE_CHECKING:
    from migemu.threads.controlled_decider import Sleepers
    from migemu.threads.controlled_engine import Engine, StepLog
    from migemu.threads.controlled_task import Task


CUT_SHORT = ("failure", "steps", "time")
"""Ends of a run behind which there might have been more."""


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
        self._cut_short = False
        self._resumed = False
        self._rehearsed = False
        self._engine: Engine
        self._names: dict[str, list[str]] | None = None

    def bind(self, engine: Engine) -> None:
        """All runs will be this engine's."""
        self._engine = engine
        if self._names is not None:
            engine.names.restore(self._names)

    def plan(self) -> Plan | None:
        """The next schedule; None when all have been tried."""
        if not self._rehearsed and self._started and not self._backtrack():
            return None
        self._log = []
        if self._resumed:
            self._resumed, self._rehearsed = False, True
            return Plan(self._script, log=self._log, rehearsal=True)
        self._started, self._rehearsed = True, False
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
                self.closed(node)
        return False

    def closed(self, node: SourceNode) -> None:
        """All that had to be tried at `node` has been."""

    def learn(self, run: Run) -> None:
        """Find the races of the last run and ask for their other order."""
        self.saw(run)
        if not self.reduce:
            return
        if self._rehearsed:
            for entry in self._log[: self._base]:
                self._history.add(entry)
            return
        self._history.shrink(self._base)
        for entry in self._log:
            for race in self._history.add(entry):
                self._insist(*race)
        for wish in run.blocked:
            for race in self._history.wish(*wish):
                self._insist(*race)

    def saw(self, run: Run) -> None:
        """Remember the footprints of the steps that were taken."""
        if run.ended in CUT_SHORT:
            self._cut_short = True
        if not self._rehearsed:
            for step, entry in enumerate(self._log, self._base):
                node = self._sources.get(step)
                if node is not None:
                    node.saw(entry[1], entry[2])

    def _insist(self, step: int, initials: int, preferred: int) -> None:
        node = self._sources.get(step)
        if node is not None:
            node.insist(initials, preferred)

    def decisions(self) -> list[int]:
        """All decisions of the last run."""
        return list(self._script)

    def verdict(self) -> str | None:
        """The bound that kept this search from being complete."""
        if self._cut_short:
            return "all schedules but those that go on where a failing one was cut short"
        if self._cut:
            return f"all schedules that differ in their first {self.depth} decisions"
        if self.preemptions is not None:
            return f"all schedules with at most {self.preemptions} preemptions"
        return None

    def extent(self) -> str:
        """Nothing to say beyond the number of schedules."""
        return ""

    def label(self) -> str:
        """How the last schedule was made."""
        return self.name

    def dump(self) -> dict[str, Any]:
        """Where the search stands, as JSON can hold it."""
        return {
            "options": {"reduce": self.reduce, "preemptions": self.preemptions, "depth": self.depth},
            "names": self._engine.names.dump(),
            "nodes": [node.dump() for node in self._nodes],
            "started": self._started,
            "cut": self._cut,
            "cut_short": self._cut_short,
        }

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Self:
        """A search that goes on where `dump` was called."""
        search = cls(**saved["options"])
        search._nodes = [load_node(node) for node in saved["nodes"]]
        search._script = [node.choice for node in search._nodes]
        search._sources = {node.step: node for node in search._nodes if isinstance(node, SourceNode)}
        search._names = saved["names"]
        search._started = search._resumed = saved["started"]
        search._cut, search._cut_short = saved["cut"], saved["cut_short"]
        return search

    # As the chooser of its runs, beyond the script: everything here is new.

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The first thread that is not asleep; what else there is goes into a new node."""
        menu = [task.tid for task in ready]
        if current is not None:
            menu.insert(0, current.tid)
        choice = self.first_awake(menu)
        if len(menu) > 1:
            self._script.append(choice)
            if not self._too_deep():
                self._nodes.append(self._node(menu, choice, going=current is not None))
        return choice

    def first_awake(self, menu: list[int]) -> int:
        """The place of the first thread that is not asleep; without one, the run only repeats others."""
        sleep = self._engine.sleep
        choice = next((place for place, tid in enumerate(menu) if tid not in sleep), -1)
        if choice < 0:
            self._engine.stop(PRUNED)
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
