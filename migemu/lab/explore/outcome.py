"""What an exploration found: the failure, or that there is none as far as was looked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from migemu.errors import InvariantError, MigemuError


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that breaks something."""

    kind: str
    """deadlock, lost-wakeup, wait-without-end, exception, invariant or divergence."""

    error: MigemuError
    """A ScheduleError, or the InvariantError that was raised."""

    decisions: tuple[int, ...]
    """The schedule; what follows is decision 0."""

    thread: str | None = None
    """In which thread it broke, where it is one."""

    waits: tuple[str, ...] = ()
    """Who waits for what held by whom, at the end."""

    steps: int = 0
    """After how many steps."""

    @property
    def invariant(self) -> str | None:
        """The broken invariant's name."""
        return self.error.invariant if isinstance(self.error, InvariantError) else None

    @property
    def signature(self) -> tuple[str, str]:
        """What makes two failures the same finding."""
        return self.kind, self.invariant or ""


@dataclass(slots=True)
class Outcome:
    """The end of an exploration."""

    strategy: str
    verdict: str = ""
    """``exhausted: N schedules``, the bound that was met, or which schedule fails how."""

    schedules: int = 0
    pruned: int = 0
    """Schedules that were given up because they only repeat others."""

    steps: int = 0
    seconds: float = 0.0
    failure: Failure | None = None
    """The first one."""

    found_by: str = ""
    """Which schedule of which strategy that was."""

    finals: set[Any] = field(default_factory=set)
    """The final states that were met, of systems that tell theirs."""

    exhausted: bool = False
    """Whether every schedule was tried, as far as schedules differ."""
