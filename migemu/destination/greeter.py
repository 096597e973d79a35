"""One new connection until it is known what it is: its first bytes, and only those.

Every connection is greeted by an object of its own with a time limit of its own, so a silent one holds up
nobody. Once placed it is read no further until the whole source is here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal

from migemu.errors import ConnectionLostError, MigemuError, PeerError, PeerTimeoutError
from migemu.link.sockets import peer_gone
from migemu.link.tls import Identity, identity
from migemu.wire.hello import HELLO_SIZE, Hello
from migemu.wire.probe import QUESTION

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.destination.reception import Reception

MAGIC_SIZE: Final = 4
TLS_HELLO: Final = b"\x16\x03"
"""What a TLS connection begins with."""

Place = int | Literal["main"]
"""Which channel of the migration a connection is."""


class Greeter(asyncio.BufferedProtocol):
    """Reads a connection's first bytes, then waits to be taken over.

    Args:
        reception: where the connection belongs.
        drop: lets go of a connection whose transport is not made yet.

    Attributes:
        who: the peer's identity, where TLS shows one.
        secure: whether the connection speaks TLS.
        met: whether there is a transport, which closes the socket from then on.
    """

    def __init__(self, reception: Reception, drop: Callable[[], object]) -> None:
        self._reception = reception
        self._drop = drop
        self._buffer = bytearray(HELLO_SIZE)
        self._have = 0
        self._want = MAGIC_SIZE
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self.transport: asyncio.Transport | None = None
        self.who: Identity | None = None
        self.secure = False
        self.met = False

    def accepted(self) -> None:
        """Start the clock of the greeting: it begins before the TLS handshake, if there is one."""
        seconds = self._reception.hello_timeout
        self._timer = asyncio.get_running_loop().call_later(seconds, self._too_late)
        self._reception.enter(self)

    def connection_made(self, transport: Any) -> None:
        """The handshake, if any, is over."""
        self.transport = transport
        self._drop = transport.abort
        self.who = identity(transport)
        self.secure = self.who is not None
        if self._over:
            transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Room for exactly what is still needed: nothing of the stream behind it is read here."""
        return memoryview(self._buffer)[self._have : self._want]

    def buffer_updated(self, nbytes: int) -> None:
        """Look at what is there."""
        self._have += nbytes
        if self._have < self._want or self._over:
            return
        try:
            self._recognise()
        except MigemuError as error:
            self.refuse(error.at(phase="hello"))

    def _recognise(self) -> None:
        if self._want == MAGIC_SIZE:
            if self._is_probe():
                return
            if self._buffer.startswith(TLS_HELLO):
                raise PeerError("the peer speaks TLS, and this side's [tls] is not set")
            if self._reception.kind_of(bytes(self._buffer[:MAGIC_SIZE])) == "multifd":
                self._want = HELLO_SIZE
                return
            self._reception.place_main(self)
        else:
            self._reception.place_multifd(Hello.decode(bytes(self._buffer)), self)
        self._finish()

    def pause(self) -> None:
        """Placed: what follows waits in the kernel until the migration begins."""
        if self.transport is not None:
            self.transport.pause_reading()

    def _is_probe(self) -> bool:
        """Answer a readiness probe, which takes no part in the migration."""
        if bytes(self._buffer[:MAGIC_SIZE]) != QUESTION or self.transport is None:
            return False
        self._finish()
        self.transport.write(self._reception.answer_probe())
        self.transport.close()
        return True

    def _too_late(self) -> None:
        seconds, have = self._reception.hello_timeout, self._have
        limit = f"limits.hello_timeout = {seconds:g} s"
        self.refuse(PeerTimeoutError(f"said {have} of {self._want} bytes within {limit}", phase="hello"))

    def gone(self) -> bool:
        """Whether the peer has closed a connection that nobody reads now."""
        if self.transport is None or self.transport.is_closing():
            return True
        sock = self.transport.get_extra_info("socket")  # None once an order rule has closed what it wraps
        return sock is None or peer_gone(sock.fileno())

    def refuse(self, error: MigemuError) -> None:
        """Turn the connection away and say why."""
        if not self._over:
            self._reception.refused(error)
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        self._finish()
        self._over = True
        self._drop()

    def _finish(self) -> None:
        self._reception.leave(self)
        if self._timer is not None:
            self._timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """It went away by itself: worth a word when it had said something."""
        self._finish()
        if self._over:
            return
        self._over = True
        if self._reception.lost(self) or not 0 < self._have < self._want:
            return
        reason = f"closed after {self._have} of {self._want} bytes ({exc or 'end of stream'})"
        self._reception.refused(ConnectionLostError(reason, phase="hello"))
