"""What is known while QEMU's log is read, line by line: the words of a line, and what earlier ones said."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

THREAD: Final = "thread"
"""A word that is no field of the event: the thread that did it, where the event's name does not tell."""

INCOMING: Final = "incoming"
"""What our own runs call the thread that reads the main channel."""

_DEVICE: Final = re.compile(r"\((\S+)\)")

Said = tuple[str, dict[str, Any]]
"""An event's name and its fields, and `THREAD` among them."""


class Line(NamedTuple):
    """A line of the log."""

    t: float
    """Wall clock, seconds."""
    thread: str
    """The thread's number; empty where QEMU did not say."""
    point: str
    """The trace point."""
    words: tuple[str, ...]

    def after(self, word: str) -> int:
        """The number that follows `word`."""
        return int(self.words[self.words.index(word) + 1], 0)


@dataclass(slots=True)
class Seen:
    """What is known while a log is read.

    Args:
        side: ``source`` or ``destination``.
        sections: section ids by QEMU's names of VFIO devices (the last part of their sysfsdev).
        sizes: bytes of a device's packet by (section id, idx), as its source device told them.
        precopy: bytes of pre-copy data by section id, as told by the source device; counted down.
        interrupt_controller: its section, where it is to be told when that is in.
    """

    side: str
    sections: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[tuple[str, int], int] = field(default_factory=dict)
    precopy: Counter[str] = field(default_factory=Counter)
    """Bytes of a device that still come before its stop-copy data, where both use the main channel."""
    interrupt_controller: str = ""
    """Section of the platform's, where devices' configs must come after it."""
    blocks: Counter[str] = field(default_factory=Counter)
    """Stop-copy blocks of a device that came over the main channel."""
    channels: dict[str, int] = field(default_factory=dict)
    """Channels by the number of their receive thread."""
    queued: Counter[str] = field(default_factory=Counter)
    """Bytes that wait for a device's load thread."""
    loaded: Counter[str] = field(default_factory=Counter)
    """Bytes written into a device."""
    loaders: set[str] = field(default_factory=set)
    """Devices with a load thread of their own."""
    since: dict[str, float] = field(default_factory=dict)
    """When the config load, or the block, began that a device is at."""
    count: Counter[str] = field(default_factory=Counter)
    """Rounds, barriers, and pages of the current round."""

    def device(self, line: Line) -> str:
        """The section id of the device that a line names: ``(device0)``."""
        named = _DEVICE.match(line.words[0])
        return self.sections[named[1] if named else ""]

    def loader(self, device: str) -> str:
        """The thread that loads a device: its own, or the one that reads the main channel."""
        return f"load {device}" if device in self.loaders else INCOMING

    def held(self, device: str, until: float) -> Said:
        """The loader took the BQL right before a load began and gave it back, or could have, at its end."""
        holder = self.loader(device)
        return "bql_held", {"holder": holder, "seconds": until - self.since[device], THREAD: holder}
