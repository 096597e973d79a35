"""Depth-first search that knows the states it has been in.

Where two independent halves of a system (two devices) have many orders each, a search over schedules tries
all pairs of them; a search over states finds that they lead to the same ones. Two schedules are taken to lead
to the same state when their fingerprints agree (see :mod:`migemu.lab.explore.fingerprint`).

A schedule that comes to a known state is given up there. Two things have to be made up for:

* the state was left only by threads that were not asleep then: one that was and is not now leaves it now
  (Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", chapter 6);
* what would have followed could race with what came before. So each state keeps a summary, all footprints of
  steps that were ever seen behind it, and each of them is held against the schedule that led here this time
  (Yang, Chen, Gopalakrishnan and Kirby, "Efficient Stateful Dynamic Partial Order Reduction", SPIN 2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from migemu.lab.explore.dfs import Dfs
from migemu.lab.explore.fingerprint import Fingerprints
from migemu.lab.explore.plan import Plan, Run
from migemu.lab.explore.tree import SourceNode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.threads.controlled_decider import Sleepers
    from migemu.threads.controlled_task import Task

Event = tuple[int, int, int, int]
"""A step that may follow: thread, changed, looked at, lock taken."""


class State:
    """What is known of a state that all schedules through it have been tried from.

    Attributes:
        left_by: the threads by which it has been left, with the footprint of that step.
        asleep: those by which it has not been left because they slept every time, as bits.
        ahead: the steps seen behind it, as bits of their numbers.
    """

    __slots__ = ("ahead", "asleep", "left_by")

    def __init__(self) -> None:
        self.left_by: Sleepers = {}
        self.asleep = -1
        self.ahead = 0

    def learn(self, node: StateNode) -> None:
        """All that had to be tried from here has been, this time."""
        self.left_by.update({tid: step for tid, step in node.sleep.items() if node.done >> tid & 1})
        self.asleep &= node.asleep
        self.ahead |= node.ahead


class StateNode(SourceNode):
    """A decision who runs next, in a state.

    Attributes:
        state: its number; None where it is an ancestor's as well.
        asleep: the threads asleep when it was come to, as bits.
        ahead: the steps seen behind it so far, as bits of their numbers.
    """

    __slots__ = ("ahead", "asleep", "state")

    def __init__(self, step: int, menu: tuple[int, ...], choice: int, sleep: Sleepers) -> None:
        super().__init__(step, menu, choice, sleep)
        self.state: int | None = None
        self.asleep = mask(sleep)
        self.ahead = 0


class Meeting(NamedTuple):
    """A run came to a state that is known."""

    ahead: int
    """The steps that are known to follow."""

    enablers: dict[int, int]
    """The threads there were, with what made them able to run."""

    menu: list[int]
    """Those that could run."""

    next_steps: Sleepers
    """The footprint of their next step, as far as it is known."""


class States(Dfs):
    """All states, depth first, as far as steps do not commute.

    Args:
        ignore: what does not influence the system, see :class:`Fingerprints`.
    """

    name = "states"

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        super().__init__()
        self._prints = Fingerprints(ignore)
        self._states: dict[int, State] = {}
        self._path: list[StateNode] = []
        self._open: set[int] = set()
        self._numbers: dict[Event, int] = {}
        self._events: list[Event] = []
        self._meetings: dict[int, Meeting] = {}
        self._warm = False

    def plan(self) -> Plan | None:
        """The next schedule; before the first one, a run that is not one, to see what stays the same."""
        if not self._warm:
            return Plan(rehearsal=True)
        self._meetings.clear()
        return super().plan()

    def learn(self, run: Run) -> None:
        """Find the races of the last run, and of what is known to follow the states that it met."""
        if not self._warm:
            self._warm = True
            self._prints.know_constants()
            return
        super().learn(run)
        place = len(self._path) - 1
        for tid, bit, _ in run.blocked:
            self._foresee(place, (tid, bit, 0, bit))
        for step in range(self._base + len(self._log) - 1, self._base - 1, -1):
            while place >= 0 and self._path[place].step > step:
                place -= 1
            self._foresee(place, self._log[step - self._base][:4])
        self._pass_on()

    def _pass_on(self) -> None:
        """What follows a state that was met follows the last decision before it as well."""
        for step, meeting in self._meetings.items():
            node = next((node for node in reversed(self._path) if node.step <= step), None)
            if node is not None:
                node.ahead |= meeting.ahead

    def _foresee(self, place: int, event: Event) -> None:
        """`event` followed the node at `place` of the path."""
        if place >= 0:
            number = self._numbers.setdefault(event, len(self._events))
            if number == len(self._events):
                self._events.append(event)
            self._path[place].ahead |= 1 << number

    def reached(self, step: int) -> None:
        """Where the run met a known state, what follows could race with what came before."""
        meeting = self._meetings.get(step)
        if meeting is None:
            return
        history, known = self._history, {}
        for tid, enabler in meeting.enablers.items():
            known[tid] = history.known(tid, enabler)
        for number in range(meeting.ahead.bit_length()):
            if meeting.ahead >> number & 1:
                tid, foot, seen, took = self._events[number]
                for race, initials in history.ahead(known.get(tid, 0), foot, seen, took):
                    self._reconsider(meeting, race, initials, tid)

    def _reconsider(self, meeting: Meeting, step: int, initials: int, preferred: int) -> None:
        """Ask for the other order of `step` and one that may follow the meeting."""
        node = self._sources.get(step)
        if node is None:
            return
        if initials:
            node.insist(initials, preferred)
            return
        # Whoever begins the other order can run now, and its next step commutes with the earlier one.
        commutes = self._history.commutes
        node.insist_on_each(
            tid
            for tid in meeting.menu
            if tid not in meeting.next_steps or commutes(step, *meeting.next_steps[tid])
        )

    def closed(self, node: SourceNode) -> None:
        """All that had to be tried at `node` has been: its state is known."""
        assert isinstance(node, StateNode)  # noqa: S101  this search makes no others
        self._path.pop()
        if self._path:
            self._path[-1].ahead |= node.ahead
        if node.state is not None:
            self._open.discard(node.state)
            self._states.setdefault(node.state, State()).learn(node)

    def extent(self) -> str:
        """How many states there are."""
        return f", {len(self._states)} states, told apart by what can be seen of them"

    def thread(self, current: Task | None, ready: list[Task], /) -> int:
        """The first thread by which this state has not been left and that is not asleep."""
        menu = [task.tid for task in ready]
        if current is not None:
            menu.insert(0, current.tid)
        choice = self.first_awake(menu)
        if len(menu) == 1:
            return 0
        engine = self._engine
        engine.asking = True
        state = self._prints.of(engine, engine.subject, current)
        engine.asking = False
        known = self._states.get(state)
        if known is not None:
            return self._meet(state, known, menu)
        node = StateNode(engine.steps, tuple(menu), choice, engine.sleep)
        if state not in self._open:
            self._open.add(state)
            node.state = state
        return self._enter(node)

    def _meet(self, state: int, known: State, menu: list[int]) -> int:
        """Leave a known state by the threads that were asleep every time before, or give up the run."""
        engine = self._engine
        enablers = {task.tid: task.enabler for task in engine.tasks if task.ended < 0}
        next_steps = {**known.left_by, **engine.sleep}
        self._meetings[engine.steps] = Meeting(known.ahead, enablers, menu, next_steps)
        left = known.asleep & ~mask(engine.sleep) & mask(menu)
        if not left:
            engine.stop("pruned")
        asleep = mask(engine.sleep)
        engine.sleep = {**engine.sleep, **known.left_by}
        choice = next(place for place, tid in enumerate(menu) if left >> tid & 1)
        node = StateNode(engine.steps, tuple(menu), choice, engine.sleep)
        node.asleep, node.todo = asleep, left
        if state not in self._open:
            self._open.add(state)
            node.state = state
        return self._enter(node)

    def _enter(self, node: StateNode) -> int:
        self._script.append(node.choice)
        self._sources[node.step] = node
        self._nodes.append(node)
        self._path.append(node)
        return node.choice


def mask(tids: Iterable[int]) -> int:
    """Threads as bits."""
    return sum(1 << tid for tid in tids)
