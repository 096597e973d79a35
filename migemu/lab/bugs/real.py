"""A bug on real sockets: which order rules drive two processes into it, and what shows that it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.lab.stock import STOCK, stock_text
from migemu.lab.system_parts import PRODUCTION
from migemu.scenario import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.destination.reception import Reception
    from migemu.lab.system_parts import Parts
    from migemu.observe.events import Event
    from migemu.scenario import Scenario

    Symptom = Callable[[Sequence[Event]], str | None]


@dataclass(frozen=True)
class Run:
    """What one variant's two processes are."""

    scenario: Scenario
    """With the order rules that force the order."""
    parts: Parts = PRODUCTION
    """Of the destination process."""
    reception: type[Reception] | None = None
    """Of the destination process, where that is what is broken."""


@dataclass(frozen=True)
class Real:
    """How two real processes are driven into a bug."""

    broken: Run
    correct: Run
    shows: Symptom
    """What of the bug is seen in both sides' events; None for nothing of it."""
    how: str
    """What the rules do, in words."""


def scenario(rules: str, *overrides: str) -> Scenario:
    """The stock scenario with order rules, on sockets: with time limits, since a hang has to end there.

    Args:
        rules: ``[[order]]`` tables.
        overrides: as of ``--set``.
    """
    limits = "timeouts.connect=60 s", "timeouts.arrival=30 s", "timeouts.phase=5 s", "timeouts.total=2 min"
    return loads(stock_text() + rules, STOCK, overrides=(*limits, *overrides), environ={})


BEHIND_THE_LAST_SYNC = """
[[order]]
name = "device-behind-sync-0"
type = "after"
select = { channel = 0, record = "DevicePacket" }
attributes = { packet = { channel = 0, flag = "sync", nth = 3 } }

[[order]]
name = "device-behind-sync-1"
type = "after"
select = { channel = 1, record = "DevicePacket" }
attributes = { packet = { channel = 1, flag = "sync", nth = 3 } }
"""
"""Rules that keep device packets behind the last pass over RAM, with whose SYNC they race otherwise: one that
is held back in front of a SYNC holds the barrier back, and with it every other channel."""
ONE_ROUND = "migration.max_rounds=1"
"""So that the third SYNC is the last: setup, one round, the last pass."""


# What shows that a bug is there.


def breaks(invariant: str) -> Symptom:
    """A device or a side says that this invariant is broken."""

    def seen(events: Sequence[Event]) -> str | None:
        for event in events:
            if event.event == "invariant" and not event.get("ok") and event.get("name") == invariant:
                return f"invariant {invariant}: {event.get('detail')}"
            if event.event == "error" and f"invariant {invariant}" in str(event.get("message")):
                return str(event.get("message"))
        return None

    return seen


def hangs(events: Sequence[Event]) -> str | None:
    """Nothing but a time limit for silence has ended the migration, whichever side's was over first."""
    first = next((event for event in events if event.event == "error"), None)
    if first is None or first.get("kind") != "PeerTimeoutError":
        return None
    return f"a hang, ended by a time limit: {first.get('message')}"


def says(text: str, of: str) -> Symptom:
    """An event called `of` has this text in one of its fields."""

    def seen(events: Sequence[Event]) -> str | None:
        for event in events:
            told = [str(value) for value in event.fields.values() if text in str(value)]
            if event.event == of and told:
                return told[0]
        return None

    return seen


def queued_over(bound: int) -> Symptom:
    """More than `bound` bytes of one device were queued at once."""

    def seen(events: Sequence[Event]) -> str | None:
        queued = [
            int(event.get("queued", 0))
            for event in events
            if event.event == "vfio_load_state_device_buffer_incoming"
        ]
        most = max(queued, default=0)
        return f"invariant queue-bounded: {most} bytes queued, allowed are {bound}" if most > bound else None

    return seen
