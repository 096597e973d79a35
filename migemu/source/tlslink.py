"""One multifd channel of the source over TLS: the event loop encrypts and owns the connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from migemu.errors import ConnectionLostError
from migemu.source.links import fileno

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.errors import MigemuError
    from migemu.source.channels import Packet
    from migemu.source.links import Courier
    from migemu.source.paced import Freed


class TlsLink(asyncio.Protocol):
    """One connected channel; an :class:`~migemu.source.channels.Outlet`.

    Args:
        channel: its id.
        courier: carries calls to the loop.
        lost: called on the loop when the destination closed or the connection failed.
    """

    def __init__(self, channel: int, courier: Courier, lost: Callable[[MigemuError], None]) -> None:
        self.channel = channel
        self.channels: Freed | None = None
        self._courier = courier
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._writing = False
        self._closing = False

    def connection_made(self, transport: Any) -> None:
        """Ask to be told when everything has been taken."""
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)

    def fileno(self) -> int:
        """The socket's number; -1 when there is none (any more)."""
        return fileno(self._transport)

    def start(self, packet: Packet) -> None:
        """From any thread: write `packet`."""
        self._courier.post(self._write, packet)

    def _write(self, packet: Packet) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._writing = True
        # In one call: between two the transport may say that it has room, which would pass for the end.
        self._transport.writelines(
            [packet.header] if packet.payload is None else [packet.header, packet.payload]
        )
        if self._transport.get_write_buffer_size() == 0:
            self.resume_writing()

    def resume_writing(self) -> None:
        """Everything is encrypted and on its way: the channel is free."""
        if self._writing and self.channels is not None:
            self._writing = False
            self.channels.done(self.channel)

    def hello(self, data: bytes) -> None:
        """On the loop: the first bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """A multifd channel never closes from the other side before the end."""
        if not self._closing:
            why = f"connection failed: {exc}" if exc else "closed by the destination"
            self._lost(ConnectionLostError(why, channel=self.channel))

    def close(self, *, abort: bool = False) -> None:
        """On the loop: say TLS's goodbye, or just go, which the destination then can tell apart."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort() if abort else self._transport.close()
