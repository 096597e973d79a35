"""Telling connections apart: by their first bytes and the hello's uuid and id, in any arrival order.

QEMU 7.2 took the first connection for the main channel (B13), later versions block their main loop on a
connection that says nothing (B2, B6 of the wire table). Here every connection is greeted by an object of
its own with a time limit of its own: a silent one holds up nobody, a wrong one is refused and named, and
the slots stay free for the peer that is waited for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from migemu import __version__
from migemu.errors import ConnectionLostError, LimitError, MigemuError, PeerTimeoutError, WireError
from migemu.wire.hello import HELLO_SIZE, Hello, identify
from migemu.wire.probe import QUESTION, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from migemu.threads.api import Threads

MAGIC_SIZE = 4


class Reception:
    """The slots of one migration: a main channel and `channels` multifd channels.

    Args:
        threads: for events.
        uuid: what every hello must carry.
        channels: how many multifd channels are expected.
        hello_timeout: seconds a connection has for its first bytes.
        running: whether the VM runs here.
        max_connections: connections that may be open at one time, those in their greeting included.
    """

    def __init__(
        self,
        threads: Threads,
        *,
        uuid: UUID,
        channels: int,
        hello_timeout: float,
        max_connections: int,
        running: Callable[[], bool],
    ) -> None:
        self.threads = threads
        self.hello_timeout = hello_timeout
        self._uuid = uuid.bytes
        self._channels = channels
        self._max_connections = max_connections
        self._unfinished: set[Greeter] = set()
        self.running = running
        self._closed = False
        self._begun = False
        self.main: asyncio.Transport | None = None
        self.multifd: dict[int, asyncio.Transport] = {}
        self.refusals: list[MigemuError] = []
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def enter(self, greeter: Greeter) -> None:
        """A connection was accepted."""
        if self._closed or self._open() >= self._max_connections:
            limit = "limits.max_connections"
            greeter.refuse(LimitError("no more connections are accepted now", limit=limit))
            return
        self._unfinished.add(greeter)

    def leave(self, greeter: Greeter) -> None:
        """A connection has finished its greeting, one way or the other."""
        self._unfinished.discard(greeter)

    def refused(self, error: MigemuError) -> None:
        """A connection was turned away; the migration it is not part of goes on."""
        self.refusals.append(error)
        self.threads.point("connection_refused", reason=str(error))

    def place_main(self, transport: asyncio.Transport) -> None:
        """The main channel is here."""
        if self.main is not None:
            raise WireError("a second main channel; this migration has one already", channel="main")
        self.main = transport
        self._check_complete()

    def place_multifd(self, hello: Hello, transport: asyncio.Transport) -> None:
        """A multifd channel is here."""
        self._check_hello(hello)
        self.multifd[hello.channel] = transport
        self.threads.point("multifd_recv_new_channel", channel=hello.channel)
        self._check_complete()

    def _check_hello(self, hello: Hello) -> None:
        channel = hello.channel
        if hello.uuid != self._uuid:
            theirs, ours = hello.uuid.hex(), self._uuid.hex()
            raise WireError(f"the hello's uuid is {theirs}, this VM's is {ours}", channel=channel)
        if channel >= self._channels:
            raise WireError(f"channel id {channel} exceeds channel count {self._channels}", channel=channel)
        if channel in self.multifd:
            raise WireError(f"received id {channel} already set up", channel=channel)

    def _check_complete(self) -> None:
        if self.main is not None and len(self.multifd) == self._channels and not self.complete.done():
            self.complete.set_result(None)

    def _open(self) -> int:
        return len(self._unfinished) + len(self.multifd) + (self.main is not None)

    def begin(self) -> None:
        """The migration runs: whoever comes now is not part of it."""
        self._begun = True

    def answer_probe(self) -> bytes:
        """What a readiness probe is told."""
        some = self.main is not None or self.multifd
        state = (
            "running"
            if self.running()
            else "migrating"
            if self._begun
            else "connecting"
            if some
            else "waiting"
        )
        return Readiness(__version__, state).encode()

    def missing(self) -> str:
        """Who has not come yet, for the error that says so."""
        absent = [f"multifd {channel}" for channel in range(self._channels) if channel not in self.multifd]
        names = (["main"] if self.main is None else []) + absent
        refused = f"; refused: {'; '.join(map(str, self.refusals[-3:]))}" if self.refusals else ""
        return f"missing {', '.join(names[:8])}{' …' if len(names) > 8 else ''}{refused}"

    def close(self) -> None:
        """Accept nobody any more, and let go of whoever is still in the greeting."""
        self._closed = True
        for greeter in list(self._unfinished):
            greeter.drop()


class Greeter(asyncio.BufferedProtocol):
    """Reads a connection's first bytes, and only those, then hands the transport on.

    Args:
        reception: where the connection belongs.
        adopt: called with (transport, channel id or None for main) once it is placed; sets the protocol
            that reads the rest.
    """

    def __init__(self, reception: Reception, adopt: Callable[[asyncio.Transport, int | None], None]) -> None:
        self._reception = reception
        self._adopt = adopt
        self._buffer = bytearray(HELLO_SIZE)
        self._have = 0
        self._want = MAGIC_SIZE
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock of the greeting."""
        self._transport = transport
        seconds = self._reception.hello_timeout
        self._timer = asyncio.get_running_loop().call_later(seconds, self._too_late)
        self._reception.enter(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Room for exactly what is still needed: nothing of the stream behind it is read here."""
        return memoryview(self._buffer)[self._have : self._want]

    def buffer_updated(self, nbytes: int) -> None:
        """Look at what is there."""
        self._have += nbytes
        if self._have < self._want:
            return
        try:
            self._recognise()
        except MigemuError as error:
            self.refuse(error.at(phase="hello"))

    def _recognise(self) -> None:
        if self._want == MAGIC_SIZE and self._is_probe():
            return
        if self._want == MAGIC_SIZE and identify(bytes(self._buffer[:MAGIC_SIZE])) == "multifd":
            self._want = HELLO_SIZE
            return
        assert self._transport is not None  # noqa: S101  buffer_updated comes after connection_made
        channel = None if self._want == MAGIC_SIZE else self._place_multifd(self._transport)
        if channel is None:
            self._reception.place_main(self._transport)
        self._finish()
        self._adopt(self._transport, channel)

    def _is_probe(self) -> bool:
        """Answer a readiness probe, which takes no part in the migration."""
        if bytes(self._buffer[:MAGIC_SIZE]) != QUESTION or self._transport is None:
            return False
        self._finish()
        self._transport.write(self._reception.answer_probe())
        self._transport.close()
        return True

    def _place_multifd(self, transport: asyncio.Transport) -> int:
        hello = Hello.decode(bytes(self._buffer))
        self._reception.place_multifd(hello, transport)
        return hello.channel

    def _too_late(self) -> None:
        seconds, have = self._reception.hello_timeout, self._have
        self.refuse(PeerTimeoutError(f"said {have} of {self._want} bytes in {seconds:g} s", phase="hello"))

    def refuse(self, error: MigemuError) -> None:
        """Turn the connection away and say why."""
        self._reception.refused(error)
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        self._finish()
        if self._transport is not None:
            self._transport.abort()

    def _finish(self) -> None:
        self._reception.leave(self)
        if self._timer is not None:
            self._timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """It went away by itself: a probe when it said nothing, else worth a word."""
        if self in self._reception._unfinished and self._have:  # noqa: SLF001  the reception's own helper
            reason = f"closed after {self._have} of {self._want} bytes ({exc or 'end of stream'})"
            self._reception.refused(ConnectionLostError(reason, phase="hello"))
        self._finish()
