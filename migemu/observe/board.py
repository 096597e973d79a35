"""What a watcher knows of a running migration, from the events so far: no terminal, no clock, no threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.observe.progress import Progress

if TYPE_CHECKING:
    from migemu.observe.events import Event

SMOOTH = 0.4
"""Weight of the newest rate: ten samples a second settle within half a second."""


class Board:
    """Counters and names of the moment.

    Events of one side, or of both where they share a clock, as the processes of one machine do.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self.elapsed = 0.0
        self.heard: set[str] = set()
        self.state = "setup"
        self.round = 0
        self.checkpoint = ""
        self.errors: list[str] = []
        self.rate = 0.0
        self.channel_rates: list[float] = []
        self.device_states: dict[str, dict[str, str]] = {"source": {}, "destination": {}}
        self._last: dict[str, tuple[float, Progress]] = {}

    def feed(self, event: Event) -> None:
        """Take note of an event."""
        self.began = event.t if self.began is None else self.began
        self.heard.add(event.side)
        self.elapsed = max(self.elapsed, event.t - self.began)
        match event.event:
            case "progress":
                self._progress(event.side, event.t, Progress.from_fields(event.fields))
            case "migrate_set_state" if event.side == "source" or "source" not in self.heard:
                self.state = str(event.get("state"))
            case "precopy_round":
                self.round = max(
                    self.round, int(event.get("round", 0))
                )  # the last pass, VM stopped, is round 0
            case "vmstate_downtime_checkpoint":
                self.checkpoint = str(event.get("checkpoint"))
            case "vfio_migration_set_device_state":
                self.device_states[event.side][str(event.get("device"))] = str(event.get("state"))
            case "error":
                self.errors.append(f"{event.side}: {event.get('message')}")

    def _progress(self, side: str, t: float, now: Progress) -> None:
        before = self._last.get(side)
        self._last[side] = (t, now)
        if before is not None and side == self._rated_side() and t > before[0]:
            self._rates(t - before[0], before[1].channels, now.channels)
        self.device_states[side].update(now.states)

    def _rated_side(self) -> str:
        """The source's counters show the flow; the destination's do where it is the only one told."""
        return "source" if "source" in self._last else "destination"

    def _rates(self, seconds: float, before: list[int], now: list[int]) -> None:
        """Smooth the rate of each channel."""
        old = self.channel_rates + [0.0] * (len(now) - len(self.channel_rates))
        sent = [after - (before[place] if place < len(before) else 0) for place, after in enumerate(now)]
        self.channel_rates = [
            rate + SMOOTH * (new / seconds - rate) for rate, new in zip(old, sent, strict=False)
        ]
        self.rate = sum(self.channel_rates)

    def progress(self, side: str) -> Progress:
        """The last word of a side; empty before its first."""
        return self._last[side][1] if side in self._last else Progress()

    @property
    def ram_sent(self) -> int:
        """Bytes, by the side that counted further."""
        return max(self.progress("source").ram_sent, self.progress("destination").ram_sent)

    @property
    def ram_pending(self) -> int | None:
        """Bytes still dirty, where the source is heard."""
        return self.progress("source").ram_pending

    @property
    def ram_size(self) -> int | None:
        """Bytes of guest RAM."""
        return self.progress("source").ram_size or self.progress("destination").ram_size

    @property
    def channels(self) -> list[int]:
        """Bytes per channel so far."""
        return self.progress(self._rated_side()).channels

    @property
    def sizes(self) -> dict[str, int]:
        """State bytes per device, by the side that knows; what the device dirtied meanwhile comes on top."""
        told = {**self.progress("destination").sizes, **self.progress("source").sizes}
        return {name: max(size, self.loaded.get(name, 0)) for name, size in told.items()}

    @property
    def saved(self) -> dict[str, int]:
        """Bytes per device that left."""
        return self.progress("source").devices

    @property
    def loaded(self) -> dict[str, int]:
        """Bytes per device that are in."""
        return self.progress("destination").devices

    @property
    def queued(self) -> dict[str, int]:
        """Bytes per device that wait."""
        return self.progress("destination").queued

    def devices(self) -> list[str]:
        """Every device heard of."""
        names = [*self.sizes, *self.saved, *self.loaded]
        return list(dict.fromkeys(names))
