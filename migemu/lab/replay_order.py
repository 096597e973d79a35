"""The order in which a capture's packets passed, for a destination that keeps to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import UsageError
from migemu.lab.capture import Capture
from migemu.link.order_follow import UNORDERED, Follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from migemu.link.order_item import Channel


def recorded_order(folder: Path) -> Callable[[], Follow | None]:
    """Makes the order of the capture in `folder`.

    Raises:
        UsageError: there is no capture, or one without an index: nobody knows its order.
    """
    capture = Capture(folder)
    if capture.head is None:
        raise UsageError(
            f"{folder} does not tell the order of its packets: --record keeps an index, this has none"
        )
    return lambda: Follow(channels(capture))


def channels(capture: Capture) -> Iterator[Channel]:
    """Whose packet passed, one after the other."""
    known: dict[int, Channel] = {}
    for step in capture.steps():
        if step.file:
            known[step.conn] = step.channel
        elif step.record and not step.back and step.record not in UNORDERED:
            yield known.get(step.conn)
