"""How much pre-copy data a running device has: its initial bytes, and what it keeps dirtying.

Pre-copy data is a stream of its own, made by the device as it runs: dirtied parts are new data each time they
are read. A device that dirties faster than it is read never has more left than ``precopy_size``, its whole
dirtiable state.
"""

from __future__ import annotations


class PrecopyStream:
    """The pre-copy data left to read.

    Args:
        initial: bytes that should be read before the switchover (``initial_bytes``).
        dirtiable: bytes of further pre-copy data, all of it dirty at first.
        dirty_rate: bytes per second dirtied while the device is tracked.

    Attributes:
        initial_left: initial bytes not read yet.
        offset: bytes read so far, which is where the stream goes on.
    """

    def __init__(self, initial: int, dirtiable: int, dirty_rate: float) -> None:
        self._most = float(dirtiable)
        self._rate = dirty_rate
        self._dirty = self._most
        self._since: float | None = None
        self.initial_left = initial
        self.offset = 0

    def track(self, now: float) -> None:
        """The device runs under tracking from the time `now`."""
        self._age(now)
        self._since = now

    def freeze(self, now: float) -> None:
        """The device dirties nothing from the time `now`."""
        self._age(now)
        self._since = None

    def dirty_left(self, now: float) -> int:
        """Dirtied bytes to read as of the time `now`, apart from the initial ones."""
        self._age(now)
        return int(self._dirty)

    def left(self, now: float) -> int:
        """All bytes to read as of the time `now`."""
        return self.initial_left + self.dirty_left(now)

    def next_size(self, now: float, limit: int) -> int:
        """Bytes of the next piece, at most `limit`: initial ones first, both kinds are not mixed."""
        return min(limit, self.initial_left or self.dirty_left(now))

    def read(self, size: int) -> None:
        """A piece of `size` bytes, no more than :meth:`next_size` said, has been read."""
        if self.initial_left:
            self.initial_left -= size
        else:
            self._dirty -= size
        self.offset += size

    def _age(self, now: float) -> None:
        """Account for what was dirtied since it was last looked at."""
        if self._since is not None:
            self._dirty = min(self._dirty + self._rate * (now - self._since), self._most)
            self._since = now
