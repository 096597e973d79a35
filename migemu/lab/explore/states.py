"""Depth-first search that knows the states it has been in.

Where two independent halves of a system (two devices) have many orders each, a search over schedules tries
all pairs of them; a search over states finds that they lead to the same ones. Two schedules are taken to lead
to the same state when their fingerprints agree (see :mod:`migemu.lab.explore.fingerprint`).

A schedule that comes to a known state is given up there. Two things have to be seen to:

* threads that slept when all was tried from that state have not left it; so a state counts as known only for
  a schedule in which they sleep too (Godefroid, "Partial-Order Methods for the Verification of Concurrent
  Systems", chapter 6);
* what would have followed could race with what came before. So each state keeps what may follow it (see
  :mod:`migemu.lab.explore.ahead`), and that is held against the schedule that led here this time (after Yang,
  Chen, Gopalakrishnan and Kirby, "Efficient Stateful Dynamic Partial Order Reduction", SPIN 2008, who keep
  less of it and try more).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migemu.lab.explore.ahead import Ahead
from migemu.lab.explore.dfs import Dfs
from migemu.lab.explore.fingerprint import Fingerprints
from migemu.lab.explore.plan import KNOWN, Plan, Run
from migemu.lab.explore.tree import SourceNode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task


class StateNode(SourceNode):
    """A decision who runs next, in a state.

    Attributes:
        state: its number; None where it is an ancestor's as well.
        asleep: the threads asleep when it was come to, as bits.
        enablers: of the threads there were, what made them able to run.
        fence: how many steps had ended when the clock moved last.
        ahead: what may follow, as far as it has been tried.
    """

    __slots__ = ("ahead", "asleep", "enablers", "fence", "state")

    def __init__(self, engine: Engine, menu: tuple[int, ...], choice: int, state: int | None) -> None:
        super().__init__(engine.steps, menu, choice, engine.sleep)
        self.state = state
        self.asleep = mask(engine.sleep)
        self.enablers = enablers_of(engine)
        self.fence = engine.fence
        self.ahead = Ahead()


class Meeting(NamedTuple):
    """A run came to a state that is known."""

    ahead: Ahead
    """What is known to follow."""

    enablers: dict[int, int]
    """The threads there were, with what made them able to run."""

    fence: int
    """How many steps had ended when the clock moved last."""


class States(Dfs):
    """All states, depth first, as far as steps do not commute.

    Args:
        ignore: what does not influence the system, see :class:`Fingerprints`.
    """

    name = "states"

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        super().__init__()
        self._prints = Fingerprints(ignore)
        self._states: dict[int, list[tuple[int, Ahead]]] = {}
        self._path: list[StateNode] = []
        self._open: set[int] = set()
        self._meeting: Meeting | None = None
        self._warm = False
        self._schedules = 0

    def plan(self) -> Plan | None:
        """The next schedule; before the first one, a run that is not one, to see what stays the same."""
        if not self._warm:
            return Plan(rehearsal=True)
        self._meeting = None
        self._schedules += 1
        return super().plan()

    def learn(self, run: Run) -> None:
        """Find the races of the last run, and of what is known to follow the state that it met."""
        if not self._warm:
            self._warm = True
            self._prints.know_constants()
            return
        super().learn(run)
        end, met = self._base + len(self._log), self._meeting
        if met is not None:
            self._hold(met)
            self._pass_up(met.ahead, dict(met.enablers), met.fence, end)
            return
        ahead = Ahead()
        ahead.wish(run.blocked)
        self._pass_up(ahead, {tid: enabler for tid, _, enabler in run.blocked}, 0, end)

    def _hold(self, met: Meeting) -> None:
        """Ask for the other order of what led to a known state and what follows it."""
        for race, initials, first, tid in met.ahead.races(self._history, met.enablers, met.fence):
            self._insist(race, initials or 1 << first, tid if initials >> tid & 1 else first)

    def _pass_up(self, ahead: Ahead, enablers: dict[int, int], fence: int, end: int) -> None:
        """What follows the first `end` steps of the last run follows the last decision before them, too."""
        if not self._path:
            return
        node = self._path[-1]
        for step in range(end - 1, node.step - 1, -1):
            entry = self._history.entry(step)
            # When the clock moves, all before comes before all behind: no races across.
            known = Ahead() if fence > step else ahead
            ahead = known.seen_before(step, entry, enablers)
            fence = entry[-1]
        node.ahead.join(ahead)

    def closed(self, node: SourceNode) -> None:
        """All that had to be tried at `node` has been: its state is known."""
        assert isinstance(node, StateNode)  # noqa: S101  this search makes no others
        self._path.pop()
        if node.state is not None:
            self._open.discard(node.state)
            self._states.setdefault(node.state, []).append((node.asleep, node.ahead))
        self._pass_up(node.ahead, dict(node.enablers), node.fence, node.step)

    def extent(self) -> str:
        """How many states there are."""
        return f", {len(self._states)} states"

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """Any thread that is awake, unless this state is known.

        Which one goes first is free. The first schedule is the native order, so that what is wrong in every
        order is told of that one. From then on it is the one with the smallest number: one that goes on as
        soon as it can is soon back in a state that is known for another order of the two.
        """
        menu = [task.tid for task in ready]
        if current is not None:
            menu.insert(0, current.tid)
        choice = self.first_awake(menu)
        if len(menu) == 1:
            return choice
        if self._schedules > 1:
            sleep = self._engine.sleep
            choice = min((tid, place) for place, tid in enumerate(menu) if tid not in sleep)[1]
        return self._enter(StateNode(self._engine, tuple(menu), choice, self._come_to(current)))

    def _come_to(self, current: Task | None) -> int | None:
        """The present state's number, None on the way from it; at a known one the run ends."""
        engine = self._engine
        engine.asking = True
        state = self._prints.of(engine, engine.subject, current)
        engine.asking = False
        asleep = mask(engine.sleep)
        for slept, ahead in self._states.get(state, ()):
            if not slept & ~asleep:
                self._meeting = Meeting(ahead, enablers_of(engine), engine.fence)
                engine.stop(KNOWN)
        if state in self._open:
            return None
        self._open.add(state)
        return state

    def _enter(self, node: StateNode) -> int:
        self._script.append(node.choice)
        self._sources[node.step] = node
        self._nodes.append(node)
        self._path.append(node)
        return node.choice


def mask(tids: Iterable[int]) -> int:
    """Threads as bits."""
    return sum(1 << tid for tid in tids)


def enablers_of(engine: Engine) -> dict[int, int]:
    """The threads that have not ended, with what made them able to run."""
    return {task.tid: task.enabler for task in engine.tasks if task.ended < 0}
