"""The event log: the truth from which everything shown to a person is computed.

One line of JSON an event, versioned::

    {"v":1,"t":12.345678,"side":"source","thread":"migration","event":"precopy_round","round":1,...}
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migemu.errors import UsageError
from migemu.observe.catalogue import DETAIL
from migemu.observe.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VERSION = 1
HEAD = ("v", "t", "side", "thread", "event")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    t: float
    """Seconds on the clock of `side`; after a join, seconds since the first event of the run."""
    side: str
    """``source`` or ``destination``."""
    thread: str
    """The name of the thread it happened in."""
    event: str
    """A name of the catalogue."""
    fields: dict[str, Any] = field(default_factory=dict)
    """What else is known: device, channel, idx, bytes, ..."""

    def get(self, name: str, default: Any = None) -> Any:
        """A field, or `default` when the event does not carry it."""
        return self.fields.get(name, default)

    def encode(self) -> str:
        """One line of JSON, without its line end."""
        head = (VERSION, round(self.t, 7), self.side, self.thread, self.event)
        body = dict(zip(HEAD, head, strict=True)) | {
            _escape(name): value for name, value in self.fields.items()
        }
        try:
            return json.dumps(body, separators=(",", ":"), default=str, allow_nan=False)
        except ValueError:
            return json.dumps(_finite(body), separators=(",", ":"), default=str)

    @classmethod
    def decode(cls, line: str | bytes) -> Event:
        """The event of one line.

        Raises:
            UsageError: the line is not an event of this version.
        """
        try:
            body = json.loads(line)
            if not isinstance(body, dict) or body.pop("v", None) != VERSION:
                raise UsageError(f"not an event of version {VERSION}")
            t = float(body.pop("t"))
            side, thread, event = (str(body.pop(name)) for name in HEAD[2:])
        except (ValueError, RecursionError) as error:
            raise UsageError(f"not JSON: {error}") from None
        except (KeyError, TypeError) as error:
            raise UsageError(f"an event without a usable {error}") from None
        return cls(t, side, thread, event, {_unescape(name): value for name, value in body.items()})


def _escape(name: str) -> str:
    """Fields may be called like the head's own keys (an error's ``side``): those get a ``_``."""
    return f"{name}_" if name.rstrip("_") in HEAD else name


def _unescape(name: str) -> str:
    return name[:-1] if name.endswith("_") and name.rstrip("_") in HEAD else name


def _finite(value: Any) -> Any:
    """JSON has no infinity; write it as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class EventLog:
    """One side's events, in memory until the end.

    Args:
        side: ``source`` or ``destination``.
        limit: how many detail events are kept (about half a KiB each); further ones are only added up.
        subscriber: called with every event that is not a detail, in the thread where it happens, so it
            must be quick. One that raises OSError or ValueError (a closed pipe) is not called again.
    """

    def __init__(
        self, side: str, limit: int = 100_000, subscriber: Callable[[Event], None] | None = None
    ) -> None:
        self.side = side
        self.limit = limit
        self._subscriber = subscriber
        self._records: list[tuple[float, str, str, dict[str, Any]]] = []
        self._totals = Totals()
        self._details = itertools.count()  # next() is atomic, += is not
        self._peeks = 0

    def sink(self, event: str, t: float, thread: str, fields: dict[str, Any]) -> None:
        """Record an event; from any thread, without a lock."""
        if event in DETAIL:
            if next(self._details) >= self.limit:
                self._totals.add(event, thread, fields)
                return
            self._records.append((t, event, thread, fields))
            return
        self._records.append((t, event, thread, fields))
        if self._subscriber is not None:
            self._publish(Event(t, self.side, thread, event, fields))

    def _publish(self, event: Event) -> None:
        try:
            if self._subscriber is not None:
                self._subscriber(event)
        except (OSError, ValueError):  # whoever watched went away; the migration goes on
            self._subscriber = None

    def subscribe(self, subscriber: Callable[[Event], None] | None) -> None:
        """Call `subscriber` from now on; None for nobody."""
        self._subscriber = subscriber

    def suppressed(self) -> int:
        """How many detail events were added up instead of kept; for the end of a run, from one thread."""
        seen = next(self._details) - self._peeks
        self._peeks += 1
        return max(0, seen - self.limit)

    def events(self) -> list[Event]:
        """What happened so far, by time; with one ``events_suppressed`` last when details were dropped."""
        records = sorted(self._records, key=lambda record: record[0])
        events = [Event(t, self.side, thread, event, fields) for t, event, thread, fields in records]
        suppressed = self.suppressed()
        if suppressed:
            end = events[-1].t if events else 0.0
            fields = {"count": suppressed, "totals": self._totals.rows()}
            events.append(Event(end, self.side, "", "events_suppressed", fields))
        return events

    def write(self, path: str | Path) -> None:
        """Write the events as JSON Lines."""
        write(path, self.events())


def write(path: str | Path, events: Iterable[Event]) -> None:
    """Write `events` as JSON Lines."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.writelines(f"{event.encode()}\n" for event in events)


def read(path: str | Path, *, torn: bool = False) -> list[Event]:
    """The events of a file of JSON Lines.

    Args:
        path: the file.
        torn: forgive a last line that was cut short, as a killed process leaves it.

    Raises:
        UsageError: the file cannot be read, or a line is not an event; names the line.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"cannot read events: {path}: {error.strerror}") from None
    return decode_lines(lines, str(path), torn=torn)


def decode_lines(lines: list[bytes], source: str, *, torn: bool = False) -> list[Event]:
    """The events of `lines`; blank ones are skipped. See :func:`read`."""
    events = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            events.append(Event.decode(line))
        except UsageError as error:
            if torn and number == len(lines):
                break
            raise UsageError(f"{source}, line {number}: {error.message}") from None
    return events
