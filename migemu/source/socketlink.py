"""One multifd channel of the source on a plain TCP socket, written by whoever has a packet.

The thread that hands a packet over offers it to the kernel itself, without blocking; ``sendmsg`` lets go of
the interpreter while it copies, so save threads send in parallel as QEMU's send threads do. What the kernel
does not take at once is left to the event loop, which owns the socket and hears when there is room again.
A transport's own write would hold the interpreter through the copy, and every other thread with it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from migemu.errors import ConnectionLostError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from migemu.errors import MigemuError
    from migemu.source.channels import Packet
    from migemu.source.links import Courier
    from migemu.source.paced import Freed


class SocketLink:
    """One connected channel; an :class:`~migemu.source.channels.Outlet`.

    Args:
        channel: its id.
        loop: the loop that owns the socket.
        courier: carries calls to it.
        lost: called on the loop when the destination closed or the connection failed.
        room: bytes of its send buffer, where the kernel does not decide, given the peer's address.
    """

    def __init__(
        self,
        channel: int,
        loop: asyncio.AbstractEventLoop,
        courier: Courier,
        lost: Callable[[MigemuError], None],
        room: Callable[[object], int | None] = lambda _: None,
    ) -> None:
        self.channel = channel
        self._room = room
        self.channels: Freed | None = None
        self._loop = loop
        self._courier = courier
        self._lost = lost
        self._socket: socket.socket | None = None
        self._rest: list[memoryview] = []

    def attach(self, connected: socket.socket) -> None:
        """On the loop: take over a connected, non-blocking socket."""
        self._socket = connected
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if (room := self._room(_peer(connected))) is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self._loop.add_reader(connected, self._readable)

    def fileno(self) -> int:
        """The socket's number; -1 when there is none (any more)."""
        return -1 if self._socket is None else self._socket.fileno()

    def start(self, packet: Packet) -> None:
        """From any thread: offer `packet` to the kernel; never blocks."""
        parts = [memoryview(packet.header)]
        if packet.payload is not None:
            parts.append(packet.payload)
        if self._offer(parts):
            self._done()
        elif self._rest:
            self._courier.post(self._wait_for_room)

    def _offer(self, parts: list[memoryview]) -> bool:
        """Send what the kernel takes now; True when that was all. What is left stays in `_rest`."""
        self._rest = []
        if self._socket is None:
            return False
        try:
            taken = self._socket.sendmsg(parts)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._courier.post(self._fail, error)
            return False
        self._rest = left_over(parts, taken)
        return not self._rest

    def _wait_for_room(self) -> None:
        if self._socket is not None:
            self._loop.add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        finished = self._offer(self._rest)
        if self._socket is not None and (finished or not self._rest):
            self._loop.remove_writer(self._socket)
        if finished:
            self._done()

    def _done(self) -> None:
        if self.channels is not None:
            self.channels.done(self.channel)

    def _readable(self) -> None:
        """A destination says nothing on a multifd channel: there is an end or an error to read."""
        if self._socket is None:
            return
        try:
            said = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not said:
            self._fail(None)

    def _fail(self, error: OSError | None) -> None:
        if self._socket is None:
            return
        self.close(abort=True)
        why = f"connection failed: {error.strerror}" if error else "closed by the destination"
        self._lost(ConnectionLostError(why, channel=self.channel))

    def close(self, *, abort: bool = False) -> None:
        """On the loop: say goodbye, or just go."""
        closing, self._socket = self._socket, None
        if closing is None:
            return
        self._loop.remove_reader(closing)
        self._loop.remove_writer(closing)
        if abort:
            closing.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        closing.close()


async def connect(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """A connected, non-blocking socket.

    Raises:
        OSError: nobody listens there, or the address means nothing.
    """
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    try:
        await loop.sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _peer(connected: socket.socket) -> object:
    """The address at the other end; None when it is gone already."""
    try:
        return connected.getpeername()
    except OSError:
        return None


def left_over(parts: list[memoryview], taken: int) -> list[memoryview]:
    """What of `parts` is still to be sent after the kernel took `taken` bytes."""
    left: list[memoryview] = []
    for part in parts:
        if taken < len(part):
            left.append(part[taken:])
        taken = max(0, taken - len(part))
    return left
