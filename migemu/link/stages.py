"""Time limits of whole stages of a migration: silence is not the only way to make a side wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migemu.scenario import Timeouts
    from migemu.threads.api import Threads


class Stages:
    """Measures how long the phases that share a time limit last together.

    Args:
        threads: the clock.
        timeouts: the limits, in seconds.
        limits: by phase, the name of the limit that holds in it.
    """

    def __init__(self, threads: Threads, timeouts: Timeouts, limits: Mapping[str, str]) -> None:
        self._threads = threads
        self._timeouts = timeouts
        self._limits = limits
        self._current: str | None = None
        self._since = 0.0

    def check(self, phase: str) -> None:
        """Called now and then with the phase that is on.

        Raises:
            PeerTimeoutError: it, and those that share its limit, have lasted too long.
        """
        limit = self._limits.get(phase)
        now = self._threads.now()
        if limit != self._current:
            self._current, self._since = limit, now
        if limit is None:
            return
        seconds: float = getattr(self._timeouts, limit)
        if now - self._since > seconds:
            raise PeerTimeoutError(f"not over after timeouts.{limit} = {seconds:g} s", phase=phase)
