"""The state of a system as a number: two states with the same number go on in the same ways.

What is looked at: everything reachable from the system object and from the local variables of its threads,
where each thread stands in its code, and what the engine knows of it (what it waits for, its timer). Objects
that were there before the system was made are the same in every run and count by identity; the others count
by their content, in the order in which they are met, so that a state met along another path is recognised.

What cannot be seen is a value on the interpreter's stack while its thread waits (the left half of an
addition whose right half blocks; a loop over something that leaves no trace in a variable). A search that
relies on fingerprints therefore says so.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from migemu.lab.explore.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task


class Fingerprints:
    """Takes fingerprints in one process.

    Args:
        ignore: class names, or class and attribute names (``BufferStats``, ``Bql.held_seconds``), of what
            does not influence the system: accounts, statistics, logs.
    """

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        self._ignore = frozenset(ignore)
        self._constants: frozenset[int] = frozenset()
        self._kept: list[Any] = []
        self._slots: dict[type, tuple[str, ...] | None] = {}

    def know_constants(self) -> None:
        """Whatever is there now is a constant; to be called after a first run, which fills all caches."""
        gc.unfreeze()  # what is frozen would be neither collected nor listed
        gc.collect()
        self._kept = gc.get_objects()
        self._constants = frozenset(map(id, self._kept))
        gc.freeze()

    def of(self, engine: Engine, system: object, going: Task | None) -> int:
        """The number of the present state; to be called by the running thread.

        Args:
            engine: of the run.
            system: that runs.
            going: the running thread, if it can go on.
        """
        walk = Walk(self._constants, self.slots, self._ignore)
        walk.visit(system)
        dues = engine.timers.dues()
        for task in engine.tasks:
            walk.thread(task, engine, going, dues.get(task))
        walk.out.append(engine.now)
        walk.out.append(engine.faults_left)
        return hash(tuple(walk.out))

    def slots(self, kind: type) -> tuple[str, ...] | None:
        """The slots of a class that count; None when the class does not."""
        try:
            return self._slots[kind]
        except KeyError:
            found = self._slots[kind] = self._find_slots(kind)
            return found

    def _find_slots(self, kind: type) -> tuple[str, ...] | None:
        names = [base.__name__ for base in kind.__mro__]
        if not self._ignore.isdisjoint(names):
            return None
        slots: list[str] = []
        for base in kind.__mro__:
            told = base.__dict__.get("__slots__", ())
            slots += [told] if isinstance(told, str) else told
        return tuple(
            slot
            for slot in slots
            if not slot.startswith("__") and not any(f"{name}.{slot}" in self._ignore for name in names)
        )
