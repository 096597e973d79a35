"""Two sides' logs on one clock.

The source measures ``offset = destination clock - source clock`` by a command that the destination echoes
with its own time; half the round trip is the error of one measurement, so the one with the smallest round
trip counts.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from migemu.observe.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Clock(NamedTuple):
    """How the destination's clock maps to the source's."""

    offset: float = 0.0
    """Seconds to take from a destination time to get the source's."""
    error: float = 0.0
    """Seconds by which that may be wrong; 0 when nothing was measured."""
    measured: bool = False
    """False: both clocks were taken as one, which holds on one machine."""


def clock(events: Iterable[Event]) -> Clock:
    """The best measurement among ``clock_offset`` events."""
    samples = [
        (float(e.get("rtt", 0)), float(e.get("offset", 0))) for e in events if e.event == "clock_offset"
    ]
    if not samples:
        return Clock()
    rtt, offset = min(samples)
    return Clock(offset, rtt / 2, measured=True)


def join(
    source: Sequence[Event], destination: Sequence[Event], *, offset: float | None = None
) -> list[Event]:
    """Both sides' events by time, on the source's clock, the first one at 0.

    Either side may be empty (its process died): then the other is only put at 0.

    Args:
        source: its events, by time.
        destination: the same.
        offset: seconds by which the destination's clock is ahead; None for what the source measured.
    """
    events = [*source, *shifted(destination, clock(source).offset if offset is None else offset)]
    events.sort(key=attrgetter("t"))
    return shifted(events, events[0].t if events else 0.0)


def shifted(events: Sequence[Event], by: float) -> list[Event]:
    """The same events, `by` seconds earlier; they themselves where that is no difference."""
    if not by:
        return list(events)
    return [Event(e.t - by, e.side, e.thread, e.event, e.fields) for e in events]
