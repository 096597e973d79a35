"""What a controlled run may decide besides which thread runs next, and where it is cut off."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from migemu.errors import ScheduleError

SPURIOUS_WAKEUP = "spurious-wakeup"
"""Fault kind: a condition's wait returns although nobody notified it."""

EARLY_TIMEOUT = "early-timeout"
"""Fault kind: a timed wait or sleep is over before the threads that could still run have run."""

WAKE_UP = "wake-up"
"""Option kind: which of several waiters a notify reaches; 0 is the one that waits longest."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How fine the steps are, which faults may be decided, and when a run counts as endless."""

    points: bool | frozenset[str] = False
    """Events at which another thread may take over: none, all, or the named ones."""

    releases: bool = False
    """Whether another thread may take over right after a lock was released.

    Not needed where all shared data is used under locks: what a thread does alone between a release and
    its next acquire cannot be told apart by the others.
    """

    faults: frozenset[str] = frozenset()
    """Kinds that ``choose`` may decide: the system's own, SPURIOUS_WAKEUP and EARLY_TIMEOUT."""

    fault_budget: int | None = 1
    """Faults in one run; None means any number."""

    max_steps: int = 20_000
    """Steps after which a run counts as one without an end."""

    max_seconds: float = 86_400.0
    """Virtual seconds after which a run counts as one without an end."""

    keep_going: bool = False
    """Whether a run goes on to its end after a failure (to compare searches), or stops at it."""

    def at_point(self, event: str) -> bool:
        """Whether another thread may take over at `event`."""
        return self.points if isinstance(self.points, bool) else event in self.points

    def as_dict(self) -> dict[str, Any]:
        """What is not the default, as JSON can hold it."""
        usual = asdict(Rules())
        told = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return {
            name: sorted(value) if isinstance(value, frozenset) else value for name, value in told.items()
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The rules that `as_dict` has told.

        Raises:
            ScheduleError: a rule that this version does not know.
        """
        unknown = told.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ScheduleError(f"unknown rule of exploration: {', '.join(sorted(unknown))}")
        read: dict[str, Any] = {
            name: frozenset(value) if isinstance(value, list) else value for name, value in told.items()
        }
        return cls(**read)
