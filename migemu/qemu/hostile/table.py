"""What a row of the hostile-order table is, and how one is found by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from migemu.errors import UsageError
from migemu.qemu.hostile.script import Script
from migemu.qemu.hostile.shape import SWITCHOVER_MARK
from migemu.qemu.hostile.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migemu.qemu.binary import Launcher, Version

Play = Callable[[Script], None]
"""A script: what is said, and when. It ends with its last word, or where the destination is gone."""

SourcePlay = Callable[[Sink], None]
"""The same of a destination, for a QEMU that is the source."""

FLUSH_WORD: Version = (8, 1)
"""The first version whose machines have MULTIFD_FLUSH."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a QEMU must be for a row; by default a machine with nothing but RAM, multifd on."""

    devices: int = 0
    """Make-believe VFIO devices."""
    model: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Fields of :class:`~migemu.qemu.standin.DeviceFile`, by the device's number."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Of every device, beyond those that switch multifd transfer on."""
    multifd: bool = True
    oldest: Version = (0,)
    """The row is about something older ones do not have."""
    ready: bool = False
    """The devices hold their config back until CONFIG_LOAD_READY."""
    target: str = "x86_64"
    """Whose QEMU."""

    def fits(self, version: Version) -> bool:
        """Whether the row says anything to this version."""
        oldest = max(self.oldest, SWITCHOVER_MARK) if self.devices else self.oldest
        return version >= oldest

    def suits(self, launcher: Launcher) -> bool:
        """Whether the row says anything to this QEMU."""
        return self.target == launcher.board.target and self.fits(launcher.version)


class Row(NamedTuple):
    """One line of the table."""

    name: str
    """Its identifier: ``A1``."""
    title: str
    bench: Bench
    script: Play | None
    """For a QEMU destination ..."""
    sink: SourcePlay | None = None
    """... or for a source ..."""
    between: str = ""
    """... or for one on either side: a scenario whose order rules act on a tap."""


ROWS: dict[str, Row] = {}
"""Every row by its name."""


def row(name: str, title: str, bench: Bench | None = None) -> Callable[[Play], Play]:
    """Put a script into the table."""

    def add(script: Play) -> Play:
        ROWS[name] = Row(name, title, bench or Bench(), script)
        return script

    return add


def source_row(name: str, title: str, bench: Bench | None = None) -> Callable[[SourcePlay], SourcePlay]:
    """Put a script for a source into the table."""

    def add(sink: SourcePlay) -> SourcePlay:
        ROWS[name] = Row(name, title, bench or Bench(), None, sink)
        return sink

    return add


def pair_row(name: str, title: str, bench: Bench, scenario: str) -> None:
    """Put a scenario for two QEMUs and a tap into the table."""
    ROWS[name] = Row(name, title, bench, None, between=scenario)


def select(names: tuple[str, ...]) -> list[Row]:
    """The rows of these names; a letter stands for a family, no name for all.

    Raises:
        UsageError: there is no such row.
    """
    found: dict[str, Row] = {} if names else ROWS
    for name in names:
        pattern = re.compile(
            rf"{re.escape(name)}\d+\w*" if name.isalpha() else re.escape(name), re.IGNORECASE
        )
        matching = {known: one for known, one in ROWS.items() if pattern.fullmatch(known)}
        if not matching:
            raise UsageError(f"no row {name!r}; there are: {', '.join(ROWS)}")
        found |= matching
    return sorted(found.values(), key=place)


def place(one: Row) -> tuple[str, int, str]:
    """Where a row stands in the table: by letter, then by number."""
    family, number, variant = re.split(r"(\d+)", one.name)
    return family, int(number), variant
