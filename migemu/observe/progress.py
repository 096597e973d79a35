"""How far one side is: the fields of the ``progress`` event, ten times a second.

One event for everything, so that 255 channels and 64 devices cost ten lines a second and not thousands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Progress:
    """One side's counters at a moment; all sizes are bytes.

    Emit it as ``point("progress", **progress.fields())``.
    """

    phase: str = ""
    """For people: setup, precopy, switchover, load, ..."""
    ram_sent: int = 0
    """RAM bytes sent (source) or received (destination) so far."""
    ram_pending: int | None = None
    """RAM bytes still dirty; the source knows."""
    ram_size: int | None = None
    """Bytes of guest RAM."""
    channels: list[int] = field(default_factory=list)
    """Bytes so far per multifd channel, by channel id."""
    devices: dict[str, int] = field(default_factory=dict)
    """State bytes per device: saved (source) or loaded (destination) so far."""
    sizes: dict[str, int] = field(default_factory=dict)
    """State bytes per device in all, where this side knows."""
    queued: dict[str, int] = field(default_factory=dict)
    """Bytes per device that wait for their turn; the destination knows."""
    states: dict[str, str] = field(default_factory=dict)
    """VFIO migration state per device, or what its load thread does."""
    cpu: float | None = None
    """CPU seconds this process has used."""
    memory: int | None = None
    """Resident bytes of this process."""

    def fields(self) -> dict[str, Any]:
        """What the event carries: everything known."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", [], {})}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Progress:
        """From an event's fields; unknown ones of a newer migemu are left out."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})
