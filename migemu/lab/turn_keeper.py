"""Gates at named points of a real destination: its load threads take a schedule's turns.

A load thread is held where it holds nothing: when it begins, before it writes a buffer, and before it takes
the BQL for its config. There it waits until everything that the schedule has before that has happened. What
arrives is ordered by rules on the wire (:mod:`migemu.lab.turn_rules`), and so is what the incoming thread
finds to act on. A wait that is in vain ends by itself and is told: the order is not the schedule's then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.turns import BROKEN, CONFIG_BEGINS, LOADER_BEGINS, WRITES, key_of
from migemu.link.order_watch import WatchedThreads
from migemu.threads.native import NativeLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from migemu.lab.turns import Beat
    from migemu.threads.api import Lock, Threads

GATES = frozenset({LOADER_BEGINS, WRITES})
"""Points at which the thread holds nothing."""
CONFIG = frozenset({CONFIG_BEGINS, BROKEN})
"""What comes once the BQL is taken for a config."""
LOADER = "load "
"""What the names of load threads begin with."""
LIMIT = 2.0
"""Seconds that a gate holds at most."""


class Keeper:
    """Knows which turns have been taken.

    Args:
        beats: the turns.
        threads: for a lock, and to say what was waited for in vain.
    """

    def __init__(self, beats: tuple[Beat, ...], threads: Threads) -> None:
        self._beats = beats
        self._threads = threads
        self._lock = threads.lock("turns")
        self._moved = threads.condition(self._lock, "turns taken")
        self._taken = [False] * len(beats)
        self._upto = 0

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """Something has happened, or is about to where it is a gate: then wait for its turn first."""
        key = key_of(event, fields)
        if key is None:
            return
        with self._lock:
            place = self._first(lambda beat: (beat.event, beat.fields) == (event, key))
            if event in GATES:
                self._await(place)
            if place is not None:
                self._take(place)

    def before_config(self, thread: str) -> None:
        """This thread is about to take the BQL; a load thread waits for the turn of its config.

        The incoming thread takes it for all that it does: its turns come with what the main channel brings.
        """
        if not thread.startswith(LOADER):
            return
        with self._lock:
            self._await(self._first(lambda beat: beat.thread == thread and beat.event in CONFIG))

    def _first(self, fits: Callable[[Beat], bool]) -> int | None:
        ahead = range(self._upto, len(self._beats))
        return next((n for n in ahead if not self._taken[n] and fits(self._beats[n])), None)

    def _await(self, place: int | None) -> None:
        """Until all before `place` has happened; what the schedule ends without comes behind all of it."""
        place = len(self._beats) if place is None else place
        end = self._threads.now() + LIMIT
        while self._upto < place:
            left = end - self._threads.now()
            if left <= 0:
                self._give_up(place)
                return
            self._moved.wait(left)

    def _give_up(self, place: int) -> None:
        missing = self._beats[self._upto]
        told = " ".join(value for _, value in missing.fields)
        self._threads.point("turn_missed", turn=self._upto, waited_for=f"{missing.event} {told}".strip())
        self._upto = place
        self._moved.notify_all()

    def _take(self, place: int) -> None:
        self._taken[place] = True
        while self._upto < len(self._taken) and self._taken[self._upto]:
            self._upto += 1
        self._moved.notify_all()


class TurnLock(NativeLock):
    """The BQL, which a load thread takes in its turn."""

    __slots__ = ("_current", "_keeper")

    def __init__(self, name: str, keeper: Keeper, current: Callable[[], str]) -> None:
        super().__init__(name)
        self._keeper = keeper
        self._current = current

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; False when `timeout` seconds passed without getting it."""
        self._keeper.before_config(self._current())
        return super().acquire(timeout)


class TurnThreads(WatchedThreads):
    """Real threads that take turns.

    Args:
        threads: what does the work.
        keeper: says whose turn it is.
    """

    def __init__(self, threads: Threads, keeper: Keeper) -> None:
        super().__init__(threads, frozenset(), keeper.hear)
        self._keeper = keeper

    def lock(self, name: str) -> Lock:
        """A new lock."""
        if name == "BQL":
            return TurnLock(name, self._keeper, self.current)
        return super().lock(name)

    def point(self, event: str, /, **fields: object) -> None:
        """Say that `event` happens here, in its turn."""
        self._keeper.hear(event, fields)
        super().point(event, **fields)
