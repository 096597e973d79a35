"""Payloads of a system under exploration: virtual ones, which only say what they would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from migemu.vfio.content import Loose
from migemu.vfio.virtual import VirtualSpan
from migemu.wire.vfio import wrap_config

if TYPE_CHECKING:
    from migemu.vfio.content import Span

SIZE = 64
"""Bytes of a data buffer unless a scenario says otherwise; nothing is moved, the number only adds up."""
CONFIG = b"config"
"""A config state, the same for every device: that it is in matters here, not what is in it."""
WRAPPED_CONFIG = wrap_config(CONFIG)


class Piece(Loose):
    """A payload that nobody owns and that knows its size; it may go through any number of runs."""

    def __len__(self) -> int:
        return len(self.view)


def span_of(image: str, idx: int, size: int = SIZE) -> Span:
    """Buffer `idx` of the image."""
    return cast("Span", VirtualSpan(image, idx * size, size))
