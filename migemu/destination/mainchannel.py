"""The main channel of the destination: the stream in, the return path out.

Runs on the event loop. Records go into a queue for the incoming thread; when the queue is full the socket
is not read, so that a slow incoming thread slows the source and not the memory. The queue's last item is
an :class:`End`, so that the incoming thread meets the end of the stream in its place.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.destination.channel import NO_GOODBYE
from migemu.destination.commands import gave_up
from migemu.errors import ConnectionLostError, MigemuError
from migemu.wire.extension import CMD_EXTENSION, CMD_FAILED
from migemu.wire.records import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.sync import Patience, Queue
    from migemu.wire.mainreader import MainReader
    from migemu.wire.records import Record


BIN_SIZE = 64 * 1024
"""Bytes read at a time once nobody wants them."""


@dataclass(frozen=True, slots=True)
class End:
    """The main connection is over: cleanly between records (error None), or not."""

    error: MigemuError | None


class MainProtocol(asyncio.BufferedProtocol):
    """Reads the main connection after its magic.

    Args:
        transport: the connection.
        reader: the main stream's reader, already fed with the magic.
        records: where records go.
        patience: touched whenever bytes arrive.
        on_end: called once, on the loop, when the connection is gone.
        secure: the connection speaks TLS, so that its end can be told from a cut.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        reader: MainReader,
        records: Queue[Record | End],
        patience: Patience,
        on_end: Callable[[End], None],
        *,
        secure: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._reader = reader
        self._records = records
        self._patience = patience
        self._on_end = on_end
        self._gone = asyncio.Event()
        self._closed = asyncio.Event()
        self._ended = False
        self._discarding = False
        self._secure = secure
        self._goodbye = not secure
        self.torn = False
        """The connection failed, so that nobody knows how much of our words arrived."""
        self.announced = False
        """The source has said that it is a migemu, be it acted on already or not."""
        self._bin = bytearray(BIN_SIZE)
        records.on_room = self._room

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Where the next socket bytes go."""
        return memoryview(self._bin) if self._discarding else self._reader.get_buffer()

    def feed(self, data: bytes) -> None:
        """Bytes that were read to recognise the connection."""
        self._take(lambda: self._reader.feed(data))

    def buffer_updated(self, nbytes: int) -> None:
        """Queue every record that is complete."""
        if self._discarding:
            return
        self._take(lambda: self._reader.received(nbytes))

    def _take(self, read: Callable[[], list[Record]]) -> None:
        self._patience.touch()
        try:
            records = read()
        except MigemuError as error:
            self._put(self._reader.salvaged)
            self._end(error.at(channel="main"))
            self._transport.pause_reading()
            return
        if self._put(records):
            self._transport.pause_reading()

    def _put(self, records: list[Record]) -> bool:
        """Queue `records`; whether the queue is full now.

        Why the source gives up goes before everything that waits: a wait may never end otherwise.
        """
        numbers = [record.number for record in records if isinstance(record, Command)]
        self.announced = self.announced or CMD_EXTENSION in numbers
        last = records[-1] if records else None
        if isinstance(last, Command) and last.number == CMD_FAILED:
            self._end(gave_up(last.data))
            return True
        full = False
        for record in records:
            full = self._records.put(record)
        return full

    def _room(self) -> None:
        """From the incoming thread: the queue has room again."""
        self._loop.call_soon_threadsafe(self._resume)

    def _resume(self) -> None:
        if not self._ended and not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The source has nothing more to send; the return path may still be written, but for TLS."""
        self._goodbye = True
        self._end(self._truncated())
        return not self._secure

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a goodbye between records from a loss inside one."""
        self._closed.set()
        self.torn = exc is not None
        lost = ConnectionLostError(f"connection failed: {exc}", channel="main") if exc else None
        self._end(lost or self._truncated())

    def _truncated(self) -> MigemuError | None:
        if not self._goodbye:  # before what is missing: that the stream was cut explains it
            return ConnectionLostError(NO_GOODBYE, channel="main")
        try:
            self._reader.ended()
        except MigemuError as error:
            return error.at(channel="main")
        return None

    def _end(self, error: MigemuError | None) -> None:
        self._gone.set()
        if self._ended:
            return
        self._ended = True
        self._records.put(End(error))
        self._on_end(End(error))

    async def gone(self) -> None:
        """Wait until the source has closed its half."""
        await self._gone.wait()

    def write(self, data: bytes) -> None:
        """From any thread: send `data` on the return path."""
        self._loop.call_soon_threadsafe(self.write_now, data)

    def write_now(self, data: bytes) -> None:
        """On the loop: send `data` on the return path."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def close(self, seconds: float) -> None:
        """Send what is still queued and close; a peer that does not take it in `seconds` is let go."""
        self._ended = True
        self._transport.close()
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            self._transport.abort()

    def discard(self) -> None:
        """Read on and drop it: a close with bytes unread resets the connection and loses our last words."""
        self._discarding = True
        if not self._transport.is_closing():
            self._transport.resume_reading()
