"""The seam under control: one thread at a time, a virtual clock, every order a decision.

:class:`ControlledThreads` is what a program is given instead of
:class:`migemu.threads.native.NativeThreads`. Beyond the seam it lets a *system* (a program under
exploration) say what else is decided (:meth:`~ControlledThreads.choose`), what is shared without a lock
(:meth:`~ControlledThreads.touch`), and what must hold after each step
(:meth:`~ControlledThreads.invariant`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from migemu.threads.controlled_decider import EVERY_STEP
from migemu.threads.controlled_engine import Check
from migemu.threads.controlled_sync import ControlledCondition, ControlledLock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.threads.api import Lock
    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task

Listener = Callable[[str, float, str, dict[str, object]], None]
"""Called with event, virtual time, thread name and fields at every point."""


class ControlledThreads:
    """The threads of one run of `engine`."""

    __slots__ = ("engine", "listeners", "switching")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.listeners: list[Listener] = []
        self.switching = bool(engine.rules.points)

    def lock(self, name: str) -> ControlledLock:
        """A new lock."""
        return ControlledLock(self.engine, name, self.bit(name))

    def bit(self, name: str) -> int:
        """The bit in footprints of a new object that the running thread makes."""
        engine = self.engine
        names = engine.names
        return names.bit(names.unique(engine.current.tid, name))

    def condition(self, lock: Lock, name: str) -> ControlledCondition:
        """A new condition over `lock`."""
        return ControlledCondition(self.engine, self.own(lock, name), name)

    def own(self, lock: Lock, name: str) -> ControlledLock:
        """`lock`, if it is one of ours."""
        if not isinstance(lock, ControlledLock):
            raise TypeError(f"{name}: the lock {lock.name} is of another implementation")
        return lock

    def spawn(self, name: str, target: Callable[[], None]) -> Task:
        """Start a thread; it may take over at once."""
        task = self.engine.spawn(name, target)
        self.engine.pause()
        return task

    def current(self) -> str:
        """The calling thread's name."""
        return self.engine.current.name

    def now(self) -> float:
        """Virtual time in seconds; 0 at the start."""
        engine = self.engine
        if engine.early:
            engine.seen |= engine.clock_bit
        return engine.now

    def sleep(self, seconds: float) -> None:
        """Sleep on the virtual clock; a negative or zero time is only a scheduling point."""
        engine = self.engine
        if seconds <= 0:
            engine.pause()
            return
        task = engine.current
        task.blocked_on = engine.clock
        engine.block(task, seconds)

    def point(self, event: str, /, **fields: object) -> None:
        """Tell the listeners; another thread may take over where the rules say so."""
        for listener in self.listeners:
            listener(event, self.engine.now, self.engine.current.name, fields)
        if self.switching and self.engine.rules.at_point(event):
            self.engine.pause()

    # What only a system under exploration asks for.

    def listen(self, listener: Listener) -> None:
        """Have `listener` called at every point of this run."""
        self.listeners.append(listener)

    def turn(self) -> None:
        """A scheduling point: the environment (a channel about to deliver) waits for its turn."""
        self.engine.pause()

    def choose(self, kind: str, options: int, label: str = "") -> int:
        """Decide a fault: 0 for none, else which of `options` - 1 happens.

        Always 0 unless the rules allow `kind` and their budget of faults is not spent.
        """
        return self.engine.choose(kind, options, label)

    def touch(self, name: str, *, write: bool = True) -> None:
        """The running thread is about to use `name`, which is shared without a lock.

        A scheduling point, and a place where steps clash: without it an exploration does not see that the
        order of two such uses matters.
        """
        if not self.engine.asking:
            self.engine.pause()
        self.uses(name, write=write)

    def uses(self, name: str, *, write: bool = True) -> None:
        """The running step uses `name`; like :meth:`touch`, but no scheduling point.

        For what a :meth:`transparent` lock guards.
        """
        engine = self.engine
        if engine.asking:
            return
        bit = engine.names.bit(f"touched:{name}")
        if write:
            engine.foot |= bit
        else:
            engine.seen |= bit

    def transparent(self, lock: Lock) -> None:
        """Promise that everything `lock` guards is declared by :meth:`uses` (or watched).

        Two critical sections under it then clash only where what they use does, so that a search need not
        try both orders of, say, two packets for different slots. As long as a section holds the lock past a
        scheduling point (it takes another lock inside), it clashes with every other section all the same.
        What wraps a lock and has it as its `inner` may be given as well.
        """
        self.own(getattr(lock, "inner", lock), lock.name).make_transparent()

    def invariant(
        self,
        name: str,
        question: Callable[[], str | None],
        over: Sequence[ControlledLock | str] | None = None,
    ) -> None:
        """Ask `question` after each step; None says that all is well, a text what is wrong.

        Args:
            name: of the invariant.
            question: looks only, changes nothing, and gives the same answer in the same state.
            over: the locks that guard what it looks at, and names given to `touch`. It is then asked after
                steps that used one of them, and the search tries every order of such steps. Without it, it
                is asked after every step, and what is wrong for a moment only may escape a reduced search;
                what stays wrong once it is wrong never does.
        """
        engine, names = self.engine, self.engine.names
        if over is None:
            engine.watch(Check(name, question, EVERY_STEP, 0), ())
            return
        mask = 0
        for what in over:
            mask |= names.bit(f"touched:{what}") if isinstance(what, str) else what.bit
        guards = [what for what in over if isinstance(what, ControlledLock)]
        engine.watch(Check(name, question, mask, names.bit(f"invariant:{name}")), guards)
