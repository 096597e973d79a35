"""A run as tracks with slices, marks, levels and flows: what any timeline viewer can draw.

Slices of one track never overlap: one that would last beyond the beginning of the next is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GROUPS = ("migration", "channels", "devices", "VFIO states", "threads", "queued bytes")
"""Groups of tracks below a side, in the order they are shown."""


class Track(NamedTuple):
    """One row of the timeline."""

    side: str
    group: str
    name: str


class Flow(NamedTuple):
    """What arrows connect: everything that happened to one packet, or to one device's config."""

    kind: str
    subject: str
    idx: int


@dataclass(frozen=True)
class Slice:
    """Something that took time."""

    track: Track
    name: str
    start: float
    """Seconds."""
    end: float
    args: dict[str, Any] = field(default_factory=dict)
    flows: tuple[Flow, ...] = ()


@dataclass(frozen=True)
class Mark:
    """Something that happened at a moment."""

    track: Track
    name: str
    t: float
    """Seconds."""
    args: dict[str, Any] = field(default_factory=dict)
    flows: tuple[Flow, ...] = ()


class Level(NamedTuple):
    """A counter's value from a moment on."""

    track: Track
    t: float
    """Seconds."""
    value: float


@dataclass
class Timeline:
    """All there is to draw."""

    slices: list[Slice] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)

    def tracks(self) -> list[Track]:
        """Every track, by side, group and name; numbers in names count as numbers."""
        items: Iterator[Slice | Mark | Level] = iter([*self.slices, *self.marks, *self.levels])
        return sorted({item.track for item in items}, key=_order)


def _order(track: Track) -> tuple[int, int, list[tuple[int, str]]]:
    words = [(int(word), "") if word.isdigit() else (-1, word) for word in track.name.split()]
    return (0 if track.side == "source" else 1, GROUPS.index(track.group), words)


def sequential(slices: Iterable[Slice]) -> list[Slice]:
    """Slices by start, each cut to end no later than the next one on its track begins."""
    ordered = sorted(slices, key=lambda item: item.start)
    following: dict[Track, float] = {}
    kept = []
    for item in reversed(ordered):
        end = min(item.end, following.get(item.track, item.end))
        following[item.track] = item.start
        kept.append(item if end == item.end else replace(item, end=end))
    return kept[::-1]
