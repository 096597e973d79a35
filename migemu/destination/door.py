"""The listener: accepts connections for as long as the destination lives, and has each greeted.

It accepts by hand instead of through ``create_server``, because only then a failed TLS handshake is told to
anybody, and counts as a connection while it lasts.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migemu.destination.greeter import Greeter
from migemu.errors import LimitError, UsageError
from migemu.link.sockets import why_not
from migemu.link.tls import explain

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from migemu.destination.reception import Reception

BREATH = 0.1
"""Seconds to wait when the system has no more file descriptors."""


class Door:
    """A listening socket and the connections that came through it and are not placed yet.

    Args:
        reception: where they belong.
        context: what they speak TLS with; None for plain connections.
        backlog: connections that may wait in the kernel.
        gates: makes what stands before each greeter, where something does.
    """

    def __init__(
        self,
        reception: Reception,
        context: ssl.SSLContext | None,
        backlog: int,
        gates: Callable[[Greeter], asyncio.BaseProtocol] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reception = reception
        self._context = context
        self._backlog = backlog
        self._gates = gates
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; where.

        Raises:
            UsageError: the address cannot be listened on.
        """
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, _, _, _, address = found[0]
            self._socket = socket.create_server(address[:2], family=family, backlog=self._backlog)
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {why_not(error)}") from None
        self._socket.setblocking(False)
        self._keep(self._accept(self._socket))
        name: tuple[str, int] = self._socket.getsockname()[:2]
        return name

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(listener)
            except OSError as error:
                told = f"a connection could not be accepted: {error.strerror}"
                self._reception.refused(LimitError(told, limit="open files"))
                await asyncio.sleep(BREATH)
                continue
            self._greet(connection)

    def _greet(self, connection: socket.socket) -> None:
        """Greet a connection without waiting for it."""
        connection.setblocking(False)
        with suppress(OSError):  # a peer that is gone already: reading it says so
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task: asyncio.Task[None] | None = None
        greeter = Greeter(self._reception, lambda: task.cancel() if task is not None else connection.close())
        greeter.accepted()
        if connection.fileno() >= 0:
            task = self._keep(self._meet(connection, greeter))
            task.add_done_callback(lambda _: self._let_go(connection, greeter))

    def _let_go(self, connection: socket.socket, greeter: Greeter) -> None:
        """Nobody took the connection over: its task was ended before it began, or in its handshake."""
        if not greeter.met:
            connection.close()

    async def _meet(self, connection: socket.socket, greeter: Greeter) -> None:
        protocol = greeter if self._gates is None else self._gates(greeter)
        try:
            if self._context is None:
                await self._loop.connect_accepted_socket(lambda: protocol, connection)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: protocol,
                    connection,
                    ssl=self._context,
                    ssl_handshake_timeout=self._reception.hello_timeout,
                )
            greeter.met = True
        except OSError as error:
            greeter.refuse(explain(error, self._reception.hello_timeout).at(phase="hello"))

    def close(self) -> None:
        """Stop listening."""
        for task in self._tasks:
            task.cancel()
        if self._socket is not None:
            self._socket.close()
