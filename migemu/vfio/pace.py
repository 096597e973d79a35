"""The speed of a device, modelled by sleeping against a deadline.

A device of `rate` bytes per second is busy for ``size / rate`` per operation. Deadlines are chained: what one
sleep overshot is taken off the next, so that a thousand operations last a thousand times ``size / rate``
and not that plus a thousand scheduler delays. A device that idles earns no credit: it cannot have worked
ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from migemu.threads.api import Threads

MAX_CREDIT: Final = 0.05
"""Seconds of overshoot that may be made good; more would be a burst no device can do."""

PATIENCE: Final = 0.1
"""Seconds: longer sleeps are cut up, so that a thread leaves soon after it was told to."""


class Sleeper:
    """Sleeps that can be cut short from another thread."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.cancelled = False

    def sleep_until(self, due: float) -> bool:
        """Sleep until the time `due`; False when cancelled first."""
        while not self.cancelled and (left := due - self._threads.now()) > 0:
            self._threads.sleep(min(left, PATIENCE))
        return not self.cancelled

    def sleep(self, seconds: float) -> bool:
        """Sleep for `seconds`; False when cancelled first."""
        return seconds <= 0 or self.sleep_until(self._threads.now() + seconds)

    def cancel(self) -> None:
        """End all sleeps, now and later, within `PATIENCE`."""
        self.cancelled = True

    def rearm(self) -> None:
        """Sleep again when asked to."""
        self.cancelled = False


class Pacer:
    """The token clock of one direction of one device.

    Args:
        rate: bytes per second; None is infinitely fast and never sleeps.
        threads: the clock.
        sleeper: sleeps; shared with the device so that one cancel ends them all.
    """

    def __init__(self, rate: float | None, threads: Threads, sleeper: Sleeper) -> None:
        self._rate = rate
        self._threads = threads
        self._sleeper = sleeper
        self._due = 0.0
        self._overshot = 0.0

    def begin(self) -> None:
        """An operation starts now: from here on the device is busy with it."""
        if self._rate is not None:
            self._due = max(self._due, self._threads.now() - self._overshot)

    def end(self, size: float) -> None:
        """The operation moved `size` bytes: sleep for what the real work did not take."""
        if self._rate is None:
            return
        self._due += size / self._rate
        self._sleeper.sleep_until(self._due)
        self._overshot = min(max(self._threads.now() - self._due, 0.0), MAX_CREDIT)
