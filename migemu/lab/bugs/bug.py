"""A catalogued bug: its story, the broken variant, the correct one, and what it takes to find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from migemu.lab.explore import Rules

if TYPE_CHECKING:
    from migemu.lab.bugs.real import Real
    from migemu.lab.explore import System


class Subject(Protocol):
    """What can be explored: makes a system for each schedule."""

    def __call__(self) -> System:
        """A system of its own."""
        ...

    def text(self) -> str:
        """Different for a different subject; a token's hash is made of it."""
        ...


@dataclass(frozen=True)
class Story:
    """What people should know of a bug."""

    mechanism: str
    """How it comes about, in a few sentences."""
    happened: str
    """Where and when; or that it is a hypothesis."""
    fix: str
    """What was done about it, or what would have to be."""
    versions: str
    """Of QEMU, as far as a source gives them."""
    links: tuple[str, ...] = ()
    """Commit ids and Message-IDs."""
    evidence: str = "read on the list or in a commit message"
    """How it is known."""


@dataclass(frozen=True)
class Hunt:
    """How the bug is looked for, and how much that may take."""

    schedules: int = 2000
    """Budget; within it the bug must be found from a cold start."""
    seconds: float = 30.0
    """The same, of one core that has nothing else to do."""
    rules: Rules = Rules()  # noqa: RUF009  immutable
    """Which faults are decided, how fine the steps are."""
    length: int = 60
    """Decisions of a schedule, about: PCT spreads its changes over them."""
    all_of_correct: int = 6000
    """Schedules of the correct variant that are tried, all of them if there are no more."""


@dataclass(frozen=True)
class Bug:
    """One entry."""

    name: str
    """As people ask for it: ``B1``, ``mark-without-data``."""
    title: str
    story: Story
    changed: str
    """What the broken variant lacks: one guard, one lock, one order."""
    breaks: str
    """The invariant's name, or ``deadlock``, ``lost-wakeup``, ``wait-without-end``."""
    broken: Subject
    correct: Subject
    instead: str
    """What the correct variant is, and what it makes of the same traffic."""
    hunt: Hunt = Hunt()
    real: Real | None = None
    """How two real processes are driven into it; None where nobody has tried."""
    hypothesis: bool = False
    """Seen by reading only, never reported."""
