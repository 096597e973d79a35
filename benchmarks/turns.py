"""Two things measured in turns: whatever drifts meanwhile on the machine drifts for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

A = TypeVar("A")
B = TypeVar("B")


def in_turns(pairs: int, one: Callable[[], A], other: Callable[[], B], *, warm: int = 0) -> list[tuple[A, B]]:
    """Measure both `pairs` times, now `one` first and now `other`.

    Args:
        pairs: how many of each.
        one: measures once.
        other: measures once.
        warm: pairs before those, which do not count.

    Returns:
        What each pair gave.
    """
    found = []
    for number in range(warm + pairs):
        if number % 2:
            mine = one()
            found.append((mine, other()))
        else:
            theirs = other()
            found.append((one(), theirs))
    return found[warm:]
