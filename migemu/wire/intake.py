"""Where the next socket bytes go, so that a payload is written once, by the socket itself.

Two ways, chosen by the size of the payload that comes:

* **Straight in**, from 64 KiB on. The payload gets its buffer as soon as its size is known, and the socket
  writes into that. After such a payload the next read asks for little more than a header, because
  whatever lands of the next payload has to be copied.
* **Landing**, below. Bytes land in an area of 256 KiB, many packets at one read, and each payload is copied
  from the still warm cache into a buffer of its own. Slices of the area would spare the copy, but one packet
  that waits for its turn would then hold the whole area: a queue of 4 KiB packets could cost 64 times
  what it counts. Slices parsed 10 % (4 KiB) to 15 % (64 KiB) faster here: not worth an unbounded queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.errors import LimitError
from migemu.wire.buffers import Buffer

if TYPE_CHECKING:
    from migemu.wire.buffers import Pool

LANDING_SIZE: Final = 256 * 1024
"""Bytes of the landing area; also the most that a parser can ask to see at one time, less :data:`ROOM`."""
ROOM: Final = 64 * 1024
"""Free bytes below which what waits is moved to the front: less would make many small reads."""
STRAIGHT_FROM: Final = 64 * 1024
"""Bytes from which a payload goes straight in; below, the reads of its own that it needs cost more."""

_NOWHERE: Final = memoryview(bytearray(0))


class Intake:
    """One connection's incoming bytes.

    Attributes:
        view: the landing area.
        start: offset in `view` of the first byte not consumed; the parser moves it.
        end: offset in `view` behind the last byte that has landed.
        total: bytes received so far.

    Args:
        pool: where the area and the payload buffers come from.
        window: bytes to ask for where a large payload's header is expected.
    """

    def __init__(self, pool: Pool, window: int) -> None:
        self.view = _NOWHERE
        self.start = self.end = self.total = 0
        self._pool = pool
        self._window = window
        self._narrow = False
        self._area: Buffer | None = None
        self._target: Buffer | None = None
        self._filled = 0

    def get_buffer(self) -> memoryview:
        """Where the next bytes of the socket go; never empty.

        Raises:
            LimitError: the parser consumes nothing (parked or blocked) and the area is full.
        """
        if self._target is not None:
            return self._target.view[self._filled :]
        if self.start == self.end:
            self.start = self.end = 0
        if len(self.view) - self.end < ROOM:
            self._make_room()
        waiting = self.end - self.start
        if self._narrow and waiting < self._window:
            return self.view[self.end : self.end + self._window - waiting]
        return self.view[self.end :]

    def _make_room(self) -> None:
        if self._area is None:
            self._area = self._pool.take(LANDING_SIZE)
            self.view = self._area.view
        waiting = self.end - self.start
        if waiting == LANDING_SIZE:
            raise LimitError(
                f"{waiting} bytes wait unread: stop reading while parked or blocked",
                limit="intake.LANDING_SIZE",
            )
        self.view[:waiting] = self.view[self.start : self.end]
        self.start, self.end = 0, waiting

    def received(self, count: int) -> None:
        """The socket has written `count` bytes where :meth:`get_buffer` said."""
        self.total += count
        if self._target is None:
            self.end += count
        else:
            self._filled += count

    def payload(self, size: int) -> Buffer | None:
        """The next `size` bytes in a buffer of their own, or None until they have come: then call again."""
        if self._target is not None:
            return self._finish(self._target)
        begin, end = self.start, self.start + size
        if size >= STRAIGHT_FROM:
            return self._begin(size)
        if end > self.end:
            return None
        self._narrow = False
        self.start = end
        return Buffer.copy_of(self.view[begin:end])

    def _begin(self, size: int) -> Buffer | None:
        self._narrow = True
        target = self._pool.take(size)
        landed = min(self.end - self.start, size)
        target.view[:landed] = self.view[self.start : self.start + landed]
        self.start += landed
        self._target, self._filled = target, landed
        return self._finish(target)

    def _finish(self, target: Buffer) -> Buffer | None:
        if self._filled < len(target.view):
            return None
        self._target = None
        return target

    def missing(self) -> int:
        """Bytes still to come of a payload that goes straight into its buffer; 0 between such payloads."""
        return 0 if self._target is None else len(self._target.view) - self._filled

    def waiting(self) -> int:
        """Bytes that have landed and are not consumed."""
        return self.end - self.start

    def peek(self, at: int = 0) -> int:
        """The landed byte `at` behind the first one not consumed."""
        return self.view[self.start + at]

    def take(self, size: int) -> bytes:
        """Consume `size` bytes that have landed."""
        begin = self.start
        self.start = begin + size
        return bytes(self.view[begin : begin + size])

    def take_int(self, size: int) -> int:
        """Consume a big-endian integer of `size` bytes that have landed."""
        return int.from_bytes(self.take(size))

    def empty(self) -> bool:
        """Whether every byte received has been consumed."""
        return self.start == self.end and self._target is None

    def close(self) -> None:
        """Give back what is held; payloads handed out stay valid."""
        for held in (self._target, self._area):
            if held is not None:
                held.release()
        self._target = self._area = None
        self.view = _NOWHERE
        self.start = self.end = 0
