"""A tap under order rules: what goes by is held, dropped, doubled or cut as they say.

Rules look at whole packets, so here every connection is taken apart and put together again, on an event
loop; that costs throughput, and bytes that cannot be read end the connection. A rule's stream is `in` (or
`out`, the same thing here) for what the source sends, `return` for what is answered.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from migemu.errors import MigemuError, UsageError
from migemu.link.order_gates import make_gates
from migemu.link.sockets import why_not
from migemu.qemu import rules
from migemu.qemu.tap import CONNECT_SECONDS, parse
from migemu.qemu.tap_eyes import Back, There
from migemu.wire.buffers import HeapPool
from migemu.wire.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from migemu.link.order_tape import Tapes
    from migemu.qemu.tap_watch import Watch
    from migemu.scenario import Scenario


def as_incoming(scenario: Scenario) -> Scenario:
    """The scenario with rules for what is sent taken as rules for what arrives: a tap sees both at once."""
    return scenario.model_copy(update={"order": rules.between(scenario.order)})


class Far(asyncio.Protocol):
    """The tap's connection to the destination."""

    def __init__(self, near: Near) -> None:
        self._near = near
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """The other half is here."""
        self.transport = transport
        self._near.joined(transport)

    def data_received(self, data: bytes) -> None:
        """The destination answers."""
        self._near.answer(data)

    def pause_writing(self) -> None:
        """It takes no more for now."""
        self._near.face.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._near.face.resume_reading()

    def eof_received(self) -> bool:
        """It has said everything; what the source still sends goes on."""
        self._near.answered()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and so is the source's half."""
        self._near.far_lost(exc)


class Near(asyncio.BufferedProtocol):
    """The source's connection, behind its gate.

    Args:
        tap: whose connection it is.
        watch: told of what passes.
    """

    def __init__(self, tap: RuledTap, watch: Watch) -> None:
        self._tap = tap
        self.there = There(watch, DEFAULT_LIMITS)
        self._back = Back(watch, self.there)
        self._room = memoryview(b"")
        self._ended = False
        self._answered = False
        self.face: Any = None
        self.far: Any = None

    def connection_made(self, transport: Any) -> None:
        """It was let in: make the other half."""
        self.face = transport
        transport.pause_reading()
        self._tap.join(self)

    def joined(self, far: Any) -> None:
        """The other half is here."""
        self.far = far
        self.face.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Where what the rules let pass goes."""
        self._room = self.there.room()
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """On to the destination, then have it looked at."""
        if self.far is not None and not self.far.is_closing():
            self.far.write(bytes(self._room[:nbytes]))
        self.there.seen(self._room[:nbytes])

    def answer(self, data: bytes) -> None:
        """What the destination says, through the rules of the return path."""
        self._back.seen(memoryview(data))
        with suppress(MigemuError):
            self.face.write(data)

    def answered(self) -> None:
        """The destination has said everything."""
        self._answered = True
        if self._ended:
            self._part()
        else:
            with suppress(OSError):
                self.face.get_extra_info("socket").shutdown(socket.SHUT_WR)

    def eof_received(self) -> bool:
        """The source has sent everything."""
        self._over("")
        if self._answered:
            self._part()
        elif self.far is not None and self.far.can_write_eof() and not self.far.is_closing():
            self.far.write_eof()
        return True

    def _part(self) -> None:
        """Both have said everything."""
        self.far.close()
        self.face.close()
        self._tap.left(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The source is gone, or a rule cut it off."""
        self._over("" if exc is None else str(exc))
        if self.far is not None:
            self.far.close() if exc is None else self.far.abort()
        self._tap.left(self)

    def far_lost(self, exc: Exception | None) -> None:
        """The destination is gone."""
        self._over("" if exc is None else str(exc))
        self.face.close() if exc is None else self.face.abort()
        self._tap.left(self)

    def _over(self, why: str) -> None:
        if not self._ended:
            self._ended = True
            self.there.ended(why)


class RuledTap:
    """One migration's tap under rules; on the running loop.

    Args:
        to: where the destination listens.
        watch: told of what passes.
        scenario: its rules, seed, timeouts and limits hold.
        tapes: where what comes is recorded, before the rules, if it is.
    """

    def __init__(self, to: str, watch: Watch, scenario: Scenario, tapes: Tapes | None = None) -> None:
        self._to = parse(to)
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self.error: MigemuError | None = None
        ruled = as_incoming(scenario)
        seam = watch.seam("destination")
        self._gates = make_gates(ruled, seam, self._loop, HeapPool(), DEFAULT_LIMITS, self._broken, tapes)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[Near] = set()
        self._main_over = False
        self._done = asyncio.Event()

    def _broken(self, error: MigemuError) -> None:
        self.error = self.error or error

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Begin; the address to migrate to.

        Raises:
            UsageError: it cannot be listened on.
        """
        try:
            self._server = await self._loop.create_server(self._made, host, port, backlog=256)
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {why_not(error)}") from None
        name = self._server.sockets[0].getsockname()
        return f"tcp:{name[0]}:{name[1]}"

    def _made(self) -> Any:
        near = Near(self, self._watch)
        return near if self._gates is None else self._gates(near)

    def join(self, near: Near) -> None:
        """Make a connection's other half."""
        self._open.add(near)
        task = self._loop.create_task(self._connect(near))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, near: Near) -> None:
        family, place = self._to
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if family == "unix":
                    await self._loop.create_unix_connection(lambda: Far(near), str(place))
                else:
                    await self._loop.create_connection(lambda: Far(near), *place)
        except OSError as error:
            self._watch.refused(f"no destination: {error.strerror or error or 'no answer'}")
            near.face.abort()

    def left(self, near: Near) -> None:
        """A connection is over, at one end at least."""
        self._open.discard(near)
        self._main_over |= near.there.channel == "main"
        if self._main_over and not self._open:
            self._done.set()

    async def wait(self) -> None:
        """Wait until a migration has gone by."""
        await self._done.wait()

    async def close(self) -> None:
        """Take no more connections, and cut those there are."""
        if self._server is not None:
            self._server.close()
        for near in list(self._open):
            near.face.abort()
            if near.far is not None:
                near.far.abort()
        fell_short = None if self._gates is None else self._gates.finish()
        self.error = self.error or fell_short
        self._watch.over()


def through_rules(
    scenario: Scenario, watch: Watch, tapes: Tapes | None = None
) -> Callable[[str], AbstractAsyncContextManager[str]]:
    """For a pair of QEMUs: puts a tap with the scenario's order rules between them.

    Raises:
        MigemuError: when the pair is done: a rule that was required did not fire, or could not be applied.
    """

    @asynccontextmanager
    async def between(address: str) -> AsyncIterator[str]:
        tap = RuledTap(address, watch, scenario, tapes)
        try:
            yield await tap.listen()
        finally:
            await tap.close()
        if tap.error is not None:
            raise tap.error

    return between
