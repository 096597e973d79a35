"""The main connection of the source on the event loop, and how threads reach the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from migemu.errors import ConnectionLostError, MigemuError
from migemu.wire.returnpath import ReturnPathReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.source.mainwriter import Chunk
    from migemu.source.onlink import Returns
    from migemu.source.paced import Written


class Courier:
    """Carries calls from threads to the loop: one wake-up for a batch instead of one a call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._scheduled = False

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """From any thread: have `call` called on the loop, in order."""
        self._calls.append((call, args))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False  # before looking: a call posted from now on wakes the loop again
        while self._calls:
            call, args = self._calls.popleft()
            call(*args)


class MainLink(asyncio.Protocol):
    """The main connection of the source: the stream out, the return path in."""

    def __init__(self, courier: Courier, lost: Callable[[MigemuError], None]) -> None:
        self.writer: Written | None = None
        self.returns: Returns | None = None
        self._courier = courier
        self._lost = lost
        self._reader = ReturnPathReader()
        self._transport: asyncio.Transport | None = None
        self._given = 0
        self._reported = 0
        self._closing = False

    def connection_made(self, transport: Any) -> None:
        """Ask to be told when the socket has taken everything."""
        self._transport = transport
        transport.set_write_buffer_limits(high=0, low=0)

    def start(self, chunks: tuple[Chunk, ...]) -> None:
        """From the migration thread: write `chunks`."""
        self._courier.post(self._write, chunks)

    def _write(self, chunks: tuple[Chunk, ...]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.writelines(chunks)
        self._given += sum(len(chunk) for chunk in chunks)
        self.resume_writing()

    def resume_writing(self) -> None:
        """Report what has left for the kernel since the last report."""
        if self._transport is None or self.writer is None:
            return
        left = self._given - self._transport.get_write_buffer_size()
        if left > self._reported:
            self.writer.written(left - self._reported)
            self._reported = left

    def fileno(self) -> int:
        """The socket's number."""
        return fileno(self._transport)

    def data_received(self, data: bytes) -> None:
        """Messages of the return path."""
        try:
            for message in self._reader.feed(data):
                if self.returns is not None:
                    self.returns.message(message)
        except MigemuError as error:
            self._report(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Before the goodbye this is a loss."""
        why = f"connection failed: {exc}" if exc else "closed by the destination"
        self._report(ConnectionLostError(why, channel="main"))

    def _report(self, error: MigemuError) -> None:
        if not self._closing:
            self._closing = True
            self._lost(error)

    def close(self, *, abort: bool = False) -> None:
        """On the loop: say goodbye, or just go."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort() if abort else self._transport.close()


def fileno(transport: asyncio.Transport | None) -> int:
    """The number of a transport's socket; -1 when there is none (any more)."""
    found = None if transport is None else transport.get_extra_info("socket")
    return -1 if found is None else int(found.fileno())
