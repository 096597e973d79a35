"""The exhaustive search of the lab's systems: over states, with what does not make two states different."""

from __future__ import annotations

from migemu.lab.explore import States

ACCOUNTS = (
    "BufferStats.peak_bytes",
    "BufferStats.starved",
    "BufferStats.wait_time",
    "Bql.held_seconds",
    "Bql.waited_seconds",
    "Bits",
)
"""What a destination or a source writes down for people and never reads; and the footprints' own tables.

`BufferStats.queued_bytes` is not among them: the queue's cap reads it."""


def over_states() -> States:
    """A new search that knows the states of a destination or a source it has been in."""
    return States(ACCOUNTS)
