"""What the readers of both channels share: bytes in, items out, errors that stay.

A reader's parser is a generator that yields, as text, what it waits for whenever it needs more bytes
than have landed. So a format is read top to bottom in one place, and a stream that ends early can say inside
what. Any split of a stream into reads gives the same items, and the same error at the same item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

from migemu.errors import MigemuError, TruncatedError
from migemu.wire.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.wire.buffers import Pool

T = TypeVar("T")

Data = bytes | bytearray | memoryview

BETWEEN: Final = "the next record"
"""What a parser waits for that is not inside anything."""


class StreamReader(Generic[T]):
    """Reads one connection, sans I/O; made for ``asyncio.BufferedProtocol``.

    Attributes:
        salvaged: what was complete in the call that raised; it is not lost, but the stream is over.

    Args:
        pool: where payloads are put.
        window: bytes of a header before a large payload.
    """

    def __init__(self, pool: Pool, window: int) -> None:
        self.salvaged: list[T] = []
        self._intake = Intake(pool, window)
        self._out: list[T] = []
        self._error: MigemuError | None = None
        self._awaits = BETWEEN
        self._eof = False
        self._parser = self._parse()

    def _parse(self) -> Iterator[str]:
        """Append items to ``_out``; yield what is awaited when more bytes are needed."""
        raise NotImplementedError

    def _held(self) -> bool:
        """Whether parsing must not go on although bytes may be there."""
        return False

    @property
    def bytes(self) -> int:
        """Bytes received so far."""
        return self._intake.total

    @property
    def missing(self) -> int:
        """Bytes still to come of a large payload; whoever reads the socket need not look before."""
        return self._intake.missing()

    def get_buffer(self) -> memoryview:
        """Where the next socket bytes go; never empty.

        Raises:
            LimitError: the caller went on reading although the reader is held.
        """
        return self._intake.get_buffer()

    def received(self, count: int) -> list[T]:
        """The socket has written `count` bytes into the last :meth:`get_buffer`; what is complete now.

        Raises:
            WireError: the bytes break the protocol. The reader is unusable from here on.
            LimitError: something announced is larger than allowed. Likewise.
        """
        self._intake.received(count)
        return self._advance()

    def feed(self, data: Data) -> list[T]:
        """Like `get_buffer` and `received` for bytes that somebody else has read.

        Raises:
            WireError: as `received`.
            LimitError: as `received`.
        """
        items: list[T] = []
        view = memoryview(data)
        while view:
            room = self.get_buffer()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            view = view[count:]
            try:
                items += self.received(count)
            except MigemuError:
                self.salvaged = items + self.salvaged
                raise
        return items

    def ended(self) -> None:
        """The connection is closed: nothing more will come. A held reader looks at it when it goes on.

        Raises:
            TruncatedError: inside something.
            WireError: what the reader raised before.
        """
        self._eof = True
        if self._error is not None:
            raise self._error
        if not self._held():
            self._check_end()

    def _check_end(self) -> None:
        if self._awaits == BETWEEN and self._intake.empty():
            return
        waiting = self._intake.waiting()
        raise TruncatedError(f"the stream ended inside {self._awaits} ({waiting} bytes of it had come)")

    def _advance(self) -> list[T]:
        """Parse as far as possible."""
        if self._error is not None:
            raise self._error
        try:
            if not self._held():
                self._awaits = next(self._parser)
            if self._eof and not self._held():
                self._check_end()
        except MigemuError as error:
            self._error = error
            self.salvaged = self._drain()
            raise
        return self._drain()

    def _drain(self) -> list[T]:
        """What is complete; the list itself stays, because body parsers hold on to it."""
        done = self._out.copy()
        self._out.clear()
        return done

    def close(self) -> None:
        """Give back the memory the reader holds; what it handed out stays valid."""
        self._intake.close()
