"""The events of a run, ready to be asked."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.observe.events import Event

SIDES = ("source", "destination")


class Index:
    """Events by name, and by name and device; with what the log added up instead of keeping.

    Args:
        events: of one side or of both, joined, by time.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self._by_name: dict[str, list[Event]] = defaultdict(list)
        self._by_device: dict[tuple[str, str], list[Event]] = defaultdict(list)
        self._totals: list[dict[str, Any]] = []
        self._sides: set[str] = set()
        self.suppressed = 0
        for event in events:
            self._add(event)

    def _add(self, event: Event) -> None:
        self._sides.add(event.side)
        self._by_name[event.event].append(event)
        device = event.fields.get("device")
        if device is not None:
            self._by_device[event.event, str(device)].append(event)
        if event.event == "events_suppressed":
            self.suppressed += int(event.get("count", 0))
            self._totals += event.get("totals", [])

    def of(self, name: str, device: str | None = None) -> list[Event]:
        """All events of that name, by time; of one device if given."""
        return self._by_name.get(name, []) if device is None else self._by_device.get((name, device), [])

    def first(self, name: str, device: str | None = None) -> Event | None:
        """The first such event."""
        return next(iter(self.of(name, device)), None)

    def last(self, name: str, device: str | None = None) -> Event | None:
        """The last such event."""
        return next(reversed(self.of(name, device)), None)

    def at(self, name: str, device: str | None = None) -> float | None:
        """When the first such event was."""
        event = self.first(name, device)
        return None if event is None else event.t

    def checkpoint(self, name: str) -> float | None:
        """When a downtime checkpoint was passed."""
        passed = (e.t for e in self.of("vmstate_downtime_checkpoint") if e.get("checkpoint") == name)
        return next(passed, None)

    def sides(self) -> frozenset[str]:
        """The sides that told anything."""
        return frozenset(self._sides)

    def totals(self, name: str, device: str | None = None) -> list[dict[str, Any]]:
        """What was added up of that name; of one device if given."""
        rows = (row for row in self._totals if row["event"] == name)
        return [row for row in rows if device is None or row["device"] == device]

    def count(self, name: str, device: str | None = None) -> int:
        """How often it happened, kept or not."""
        return len(self.of(name, device)) + sum(int(row["count"]) for row in self.totals(name, device))

    def sum(self, name: str, field: str = "bytes", device: str | None = None) -> int:
        """A field over all such events; of those not kept, only ``bytes`` is known."""
        kept = total(self.of(name, device), field)
        return kept + (sum(int(row["bytes"]) for row in self.totals(name, device)) if field == "bytes" else 0)

    def devices(self) -> list[str]:
        """Every device that an event or a sum names, in the order of first mention."""
        named = [device for _, device in self._by_device]
        added = [str(row["device"]) for row in self._totals if row["device"] is not None]
        return list(dict.fromkeys([*named, *added]))


def hold_of(held: Event) -> tuple[float, float]:
    """(start, end) of a hold of the big lock, from its ``bql_held``, which may be told a moment late."""
    end = held.t - float(held.get("ago") or 0.0)
    return end - float(held.get("seconds") or 0.0), end


def total(events: Iterable[Event], field: str) -> int:
    """The sum of an integer field; absent counts as 0."""
    return sum(int(event.get(field) or 0) for event in events)


def between(start: float | None, end: float | None) -> float | None:
    """Seconds from start to end, never negative (clocks differ by a little); None when one is unknown."""
    return None if start is None or end is None else max(0.0, end - start)
