"""Connecting a source: the main channel first, then all multifd channels at once, as QEMU does."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, TypeVar

from migemu.errors import ConnectionLostError, MigemuError
from migemu.link import tls
from migemu.source.socketlink import SocketLink, connect
from migemu.source.tlslink import TlsLink
from migemu.wire.hello import Hello

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

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
    return [SocketLink(channel, loop, courier, lost) for channel in channels]


class Dialer:
    """Connects every channel within ``timeouts.connect``.

    Args:
        scenario: the time limit, the uuid, whom to trust.
        threads: for events.
        check: raises when the migration has failed meanwhile.

    Attributes:
        context: what channels speak TLS with; None for plain ones.
        server_name: what the destination's certificate must be for; None on plain channels.
    """

    def __init__(self, scenario: Scenario, threads: Threads, check: Callable[[], None]) -> None:
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
        await self._open(lambda: self._connection(main))
        await asyncio.gather(*(self._channel(link) for link in links))
        self._threads.point("connected", channels=len(links))

    def _connection(self, protocol: asyncio.Protocol) -> Awaitable[Any]:
        return self._loop.create_connection(
            lambda: protocol, self._host, self._port, ssl=self.context, server_hostname=self.server_name
        )

    async def _channel(self, link: Link) -> None:
        hello = Hello(self._scenario.migration_uuid().bytes, link.channel).encode()
        if isinstance(link, TlsLink):
            await self._open(lambda: self._connection(link))
            link.hello(hello)
        else:
            connected = await self._open(lambda: connect(self._loop, self._host, self._port))
            await self._loop.sock_sendall(connected, hello)
            link.attach(connected)
        self._threads.point("multifd_new_send_channel_async", channel=link.channel)

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
