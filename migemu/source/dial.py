"""Connecting a source: the main channel first, then all multifd channels at once, as QEMU does."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from migemu.errors import ConnectionLostError, MigemuError
from migemu.link import tls
from migemu.link.room import send_room
from migemu.source.socketlink import SocketLink, connect
from migemu.source.tlslink import TlsLink
from migemu.wire import mainwriter
from migemu.wire.hello import Hello

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from migemu.link.order_item import Channel
    from migemu.link.order_out import Outgoing
    from migemu.scenario import Scenario
    from migemu.source.links import Courier
    from migemu.threads.api import Threads

T = TypeVar("T")

Link = SocketLink | TlsLink

RETRY = 0.1
"""Seconds between two tries to connect while nobody listens yet."""


def make_links(scenario: Scenario, courier: Courier, lost: Callable[[MigemuError], None]) -> list[Link]:
    """The multifd channels of a source, plain or over TLS."""
    channels = range(scenario.migration.channels)
    if scenario.tls.on:
        return [TlsLink(channel, courier, lost) for channel in channels]
    loop = asyncio.get_running_loop()
    room = partial(send_room, len(channels), scenario.migration.packet_size)
    return [SocketLink(channel, loop, courier, lost, room) for channel in channels]


class Dialer:
    """Connects every channel within ``timeouts.connect``.

    Args:
        scenario: the time limit, the uuid, whom to trust.
        threads: for events.
        check: raises when the migration has failed meanwhile.
        rules: the order rules that say when a channel may connect, if there are any.

    Attributes:
        context: what channels speak TLS with; None for plain ones.
        server_name: what the destination's certificate must be for; None on plain channels.
    """

    def __init__(
        self, scenario: Scenario, threads: Threads, check: Callable[[], None], rules: Outgoing | None = None
    ) -> None:
        self._rules = rules
        self._extra: set[asyncio.Task[None]] = set()
        self._open_writers: list[asyncio.StreamWriter] = []
        self._scenario = scenario
        self._threads = threads
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._host, self._port = "", 0
        self._deadline = 0.0
        self.context = tls.context(scenario.tls, "source")
        self.server_name: str | None = None

    async def connect(self, host: str, port: int, main: asyncio.Protocol, links: Sequence[Link]) -> None:
        """Connect `main`, then `links`.

        Raises:
            MigemuError: one of them could not be connected in time.
        """
        self._host, self._port = host, port
        self._deadline = self._loop.time() + self._scenario.timeouts.connect
        if self.context is not None:
            self.server_name = self._scenario.tls.server_name or host
        if self._rules is None:
            await self._open(lambda: self._connection(main))
            await asyncio.gather(*(self._channel(link) for link in links))
        else:
            await self._in_turn(self._rules, main, links)
        self._threads.point("connected", channels=len(links))

    async def _in_turn(self, rules: Outgoing, main: asyncio.Protocol, links: Sequence[Link]) -> None:
        """The same, but a rule may hold the main channel back until others have connected."""
        rules.on_extra = self._open_extra
        turn = rules.turn("main")
        first = self._loop.create_task(self._ruled_main(rules, main, turn))
        if turn.done():
            await first
        await asyncio.gather(first, *(self._ruled_channel(rules, link) for link in links))

    async def _ruled_main(self, rules: Outgoing, main: asyncio.Protocol, turn: asyncio.Future[None]) -> None:
        await self._open(lambda: turn)
        transport, _ = await self._open(lambda: self._connection(main))
        rules.connected("main", transport)

    async def _ruled_channel(self, rules: Outgoing, link: Link) -> None:
        turn = rules.turn(link.channel)
        await self._open(lambda: turn)
        connected = await self._connected(link)
        if isinstance(link, SocketLink):
            link.attach(connected)
        rules.connected(link.channel, connected, self._hello(link))
        self._threads.point("multifd_new_send_channel_async", channel=link.channel)

    def _open_extra(self, channel: Channel) -> None:
        """One connection more, which says what that channel says first, and then nothing."""
        task = self._loop.create_task(self._say_again(channel))
        self._extra.add(task)

    async def _say_again(self, channel: Channel) -> None:
        first = mainwriter.file_header()
        if isinstance(channel, int):
            first = Hello(self._scenario.migration_uuid().bytes, channel).encode()
        with suppress(OSError):
            _, writer = await asyncio.open_connection(
                self._host, self._port, ssl=self.context, server_hostname=self.server_name
            )
            writer.write(first)
            self._open_writers.append(writer)

    def _connection(self, protocol: asyncio.Protocol) -> Awaitable[Any]:
        return self._loop.create_connection(
            lambda: protocol, self._host, self._port, ssl=self.context, server_hostname=self.server_name
        )

    async def _channel(self, link: Link) -> None:
        hello = self._hello(link)
        connected = await self._connected(link)
        if isinstance(link, TlsLink):
            link.hello(hello)
        else:
            await self._say_hello(connected, hello, link.channel)
            link.attach(connected)
        self._threads.point("multifd_new_send_channel_async", channel=link.channel)

    async def _say_hello(self, connected: socket.socket, hello: bytes, channel: int) -> None:
        """The first bytes: they fit any socket's buffer, so this waits for nobody."""
        try:
            await self._loop.sock_sendall(connected, hello)
        except OSError as error:
            connected.close()
            raise ConnectionLostError(f"connection failed: {error.strerror}", channel=channel) from None

    def _hello(self, link: Link) -> bytes:
        return Hello(self._scenario.migration_uuid().bytes, link.channel).encode()

    async def _connected(self, link: Link) -> Any:
        """Connect `link`; its socket, or its transport."""
        if isinstance(link, TlsLink):
            transport, _ = await self._open(lambda: self._connection(link))
            return transport
        return await self._open(lambda: connect(self._loop, self._host, self._port))

    async def _open(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Connect one socket; a refused connection is tried again until the deadline."""
        while True:
            self._check()
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await attempt()
            except (OSError, TimeoutError) as error:
                late = self._loop.time() + RETRY >= self._deadline
                if late or not isinstance(error, ConnectionRefusedError):
                    raise self._unreachable(error) from None
                await asyncio.sleep(RETRY)

    def _unreachable(self, error: OSError | TimeoutError) -> MigemuError:
        seconds = self._scenario.timeouts.connect
        where = f"{self._host}:{self._port}"
        if self.context is not None and isinstance(error, ssl.SSLError | ConnectionResetError):
            failed = tls.explain(error, seconds)
            return type(failed)(f"{where}: {failed.message}")
        reason = str(getattr(error, "strerror", None) or error or "no answer")
        return ConnectionLostError(
            f"no destination at {where} within timeouts.connect = {seconds:g} s: {reason}"
        )
