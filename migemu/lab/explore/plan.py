"""What strategies and the runner say to each other: the next schedule to try, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from migemu.lab.explore.outcome import Failure
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.controlled_decider import Chooser, Sleepers
    from migemu.threads.controlled_engine import Engine, StepLog


class System(Protocol):
    """A program under exploration; made anew for every schedule."""

    def build(self, threads: ControlledThreads) -> None:
        """Spawn the threads and register the invariants; must not block."""
        ...


class FinalSystem(System, Protocol):
    """A system that tells the state it ended in, so that searches can be compared."""

    def final(self) -> Hashable:
        """The state at the end of a run."""
        ...


PRUNED = "pruned"
"""End of a run that would only have repeated earlier ones from the start; it is not counted as a schedule."""

KNOWN = "known"
"""End of a run in a state from which everything has been tried."""

MakeSystem = Callable[[], System]
"""Makes the same system each time: what it does may depend on nothing but the schedule."""


@dataclass(slots=True)
class Plan:
    """A schedule to try: some decisions, and who takes the others."""

    script: list[int] = field(default_factory=list)
    """The first decisions."""

    chooser: Chooser | None = None
    """Takes the decisions after the script; None takes 0."""

    base: int = 0
    """The first step that earlier schedules have not had; the steps before it are not looked at again."""

    asleep: Sleepers | None = None
    """Threads asleep during that step."""

    log: StepLog | None = None
    """Where the steps from `base` on are logged, if they are."""

    rehearsal: bool = False
    """The run only rebuilds what a resumed search knew; it is not a schedule of its own."""


@dataclass(slots=True)
class Run:
    """What came of a schedule."""

    plan: Plan
    ended: str
    steps: int
    failure: Failure | None = None
    final: Hashable | None = None
    """The state it ended in, of systems that tell it."""

    blocked: list[tuple[int, int, int]] = field(default_factory=list)
    """Threads that wait for a lock at the end: number, the lock's bit, what enabled them."""


class Strategy(Protocol):
    """Which schedules to try, in which order."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def bind(self, engine: Engine) -> None:
        """All runs will be this engine's."""
        ...

    def plan(self) -> Plan | None:
        """The next schedule; None when there is none left."""
        ...

    def learn(self, run: Run) -> None:
        """The last planned schedule was run."""
        ...

    def decisions(self) -> list[int]:
        """All decisions of the last run."""
        ...

    def verdict(self) -> str | None:
        """When no schedule is left: the bound that kept the search from being complete, if there was one."""
        ...

    def extent(self) -> str:
        """What there was, beyond the number of schedules."""
        ...

    def label(self) -> str:
        """How the last schedule was made, in words."""
        ...
