"""Whether the machine let this process run: who stood still himself cannot say who was late."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

EVERY = 0.1
MOST = 1.5
"""Seconds that this process may stand still in a story about seconds."""


class Stalls:
    """Watches while the block lasts.

    Attributes:
        longest: seconds for which nothing ran here.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._over.wait(EVERY):
            now = time.monotonic()
            self.longest = max(self.longest, now - last - EVERY)
            last = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def stood_still(self) -> bool:
        """The times of this story mean nothing."""
        return self.longest > MOST
