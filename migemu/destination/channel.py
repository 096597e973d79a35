"""One multifd channel of the destination: socket bytes to packets, straight into pooled buffers.

Everything here runs on the event loop that owns the socket. A channel reads on only while nothing holds
it: the SYNC barrier, the queue cap of a device (`on_cap = "pause"`), or the destination not being set up
yet. Each of these is a hold with a name; reading resumes when the last one is gone.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

from migemu.errors import ConnectionLostError, MigemuError

if TYPE_CHECKING:
    from migemu.wire.multifd import DevicePacket, RamPacket
    from migemu.wire.reader import PacketReader

RECEIVE_THREAD = "receive thread"
"""The hold of a channel whose own thread works on what came (designs in which receivers load devices)."""

CALLED_FROM = 256 << 10
"""Bytes of a large payload that the kernel collects before it says so."""

TURN = "its turn"
"""The hold of a channel that has brought a large packet, where others may have one, too."""
TURN_FROM = 64 << 10
"""Bytes of a read behind which that counts; many small packets come in one read, and hold nobody up."""

NO_GOODBYE = "closed without TLS's goodbye: something cut the connection, or the peer did not end well"
"""What a connection's end means when anybody in between could have made it."""


class Receiver(Protocol):
    """Where a channel's packets go (the destination's core)."""

    def packet(self, channel: int, packet: DevicePacket | RamPacket) -> bool:
        """A whole packet; never blocks. False: a thread of the channel's works on it, read no further."""
        ...

    def busy(self, channel: int) -> bool:
        """Whether that thread still does."""
        ...

    def at_sync(self, channel: int) -> None:
        """The channel met SYNC and reads no further until its protocol is released."""
        ...

    def channel_ended(self, channel: int, error: MigemuError | None) -> None:
        """The channel is closed: at a packet's end, or by `error`."""
        ...

    def failed(self, error: MigemuError) -> None:
        """What came cannot be used: the migration is over."""
        ...


class ChannelProtocol(asyncio.BufferedProtocol):
    """Reads one multifd connection after its hello."""

    def __init__(
        self,
        channel: int,
        transport: asyncio.Transport,
        reader: PacketReader,
        receiver: Receiver,
        loop: asyncio.AbstractEventLoop,
        *,
        secure: bool = False,
        turns: bool = False,
    ) -> None:
        self.channel = channel
        self._transport = transport
        self._reader = reader
        self._receiver = receiver
        self._loop = loop
        self._holds: set[str] = {"setup"}
        self._closed = False
        self._goodbye = not secure
        self._over = False
        self._socket = None if secure else transport.get_extra_info("socket")
        self._called_from = 1
        self._turns = turns
        transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Where the next socket bytes go."""
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on every packet that is complete."""
        try:
            packets = self._reader.received(nbytes)
            self._deliver(packets)
        except MigemuError as error:
            self._fail(error)
        else:
            self._await_bytes(max(1, min(self._reader.missing, CALLED_FROM)))
            if self._turns and packets and nbytes >= TURN_FROM:
                self._end_turn()

    def _await_bytes(self, count: int) -> None:
        """Be called when that many bytes are there, or the end: each call costs both sides a wake-up."""
        if count != self._called_from and self._socket is not None and not self._transport.is_closing():
            self._called_from = count
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _end_turn(self) -> None:
        """Read on when the loop comes round again; else it reads this channel until it is empty."""
        if not self._holds and not self._closed:
            self._hold(TURN)
            self._loop.call_soon(self._released, TURN)

    def _deliver(self, packets: list[RamPacket | DevicePacket]) -> None:
        for packet in packets:
            if not self._receiver.packet(self.channel, packet):
                self._hold(RECEIVE_THREAD)
        if self._reader.parked:
            self._hold("sync")
            self._receiver.at_sync(self.channel)
        elif self._reader.blocked:
            self._hold("queue cap")

    def _hold(self, reason: str) -> None:
        if not self._holds and not self._closed:
            self._transport.pause_reading()
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """From any thread: `reason` no longer holds this channel."""
        self._loop.call_soon_threadsafe(self._released, reason)

    def _released(self, reason: str) -> None:
        if reason == RECEIVE_THREAD and self._receiver.busy(self.channel):
            return  # it was given more meanwhile, and will say so again
        self._holds.discard(reason)
        if self._holds or self._closed:
            return
        try:
            if reason not in ("setup", TURN):
                self._deliver(self._reader.resume())
        except MigemuError as error:
            self._fail(error)
            return
        if not self._holds:
            self._go_on()

    def _go_on(self) -> None:
        """Nothing holds the channel: read on, or end where the connection ended meanwhile."""
        if self._over:
            self.connection_lost(None)
        else:
            self._transport.resume_reading()

    def _fail(self, error: MigemuError) -> None:
        self._closed = True
        self._receiver.failed(error.at(channel=self.channel))
        self._transport.abort()

    def eof_received(self) -> bool:
        """The peer has nothing more to send; we close too. Over TLS only its goodbye ends up here."""
        self._goodbye = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell a goodbye between packets from a loss inside one.

        Over TLS the goodbye may come with the last bytes, while these still wait behind a SYNC.
        """
        if self._closed:
            return
        if exc is None and self._holds and self._goodbye:
            self._over = True
            return
        self._closed = True
        self._receiver.channel_ended(self.channel, self._why(exc))

    def _why(self, exc: Exception | None) -> MigemuError | None:
        if exc is not None:
            return ConnectionLostError(f"connection failed: {exc}", channel=self.channel)
        try:
            self._reader.ended()
        except MigemuError as error:
            return error.at(channel=self.channel)
        return None if self._goodbye else ConnectionLostError(NO_GOODBYE, channel=self.channel)

    def close(self) -> None:
        """The migration is over: let the socket go."""
        self._closed = True
        self._transport.abort()
