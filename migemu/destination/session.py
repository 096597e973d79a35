"""One incoming migration on real sockets: the listener, the channels, the core, and the way it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from migemu.destination.build import make_plan, wire_limits
from migemu.destination.channel import RECEIVE_THREAD, ChannelProtocol
from migemu.destination.core import Core
from migemu.destination.mainchannel import End, MainProtocol
from migemu.destination.progress import progress_of
from migemu.destination.reception import Greeter, Reception
from migemu.errors import (
    CancelledMigrationError,
    ConnectionLostError,
    MigemuError,
    PeerTimeoutError,
    UsageError,
)
from migemu.wire import extension, returnpath
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.wire.multifd import DevicePacketHeader

MAGIC = b"QEVM"
TICK = 0.1
"""Seconds between two progress events."""
ALIVE_EVERY = 5
"""Ticks between two signs of life to the source."""
JOIN_SECONDS = 10.0
"""How long threads have to end once they were told to."""
GOODBYE_SECONDS = 2.0
"""How long the source has to close after the goodbye."""


class Session:
    """A destination that takes one migration.

    Args:
        scenario: already dilated.
        threads: the concurrency seam, its sink installed.
    """

    def __init__(self, scenario: Scenario, threads: Threads) -> None:
        self._scenario = scenario
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._pool = HeapPool()
        self._limits = wire_limits(scenario)
        self._channels: dict[int, ChannelProtocol] = {}
        self._readers: dict[int, PacketReader] = {}
        self._main: MainProtocol | None = None
        self._done = asyncio.Event()
        self._started = False
        self._ticks = 0
        self._last_sign = 0.0
        plan = make_plan(scenario, threads, lambda channel: self._release(channel, "queue cap"))
        self.core = Core(plan, self._reply, lambda channel: self._release(channel, "sync"))
        self.core.machine.on_idle = lambda channel: self._release(channel, RECEIVE_THREAD)
        self.core.abort.on_abort(lambda _: self._loop.call_soon_threadsafe(self._done.set))
        self._reception = Reception(
            threads,
            uuid=scenario.migration_uuid(),
            channels=scenario.migration.channels,
            hello_timeout=scenario.limits.hello_timeout,
            max_connections=scenario.limits.max_connections,
            running=lambda: self.core.running,
        )

    async def run(self, host: str, port: int) -> MigemuError | None:
        """Listen, take one migration, end; the error that ended it, if any.

        Raises:
            UsageError: the address cannot be listened on.
        """
        server = await self._listen(host, port)
        ticker = self._loop.create_task(self._tick())
        try:
            await self._wait_for_source()
            self._start()
            await asyncio.wait_for(self._done.wait(), self._scenario.timeouts.total)
        except TimeoutError:
            self._fail(
                PeerTimeoutError(f"not over after timeouts.total = {self._scenario.timeouts.total:g} s")
            )
        except MigemuError as error:
            self._fail(error)
        finally:
            await self._close()
            ticker.cancel()
            server.close()
        return self.core.abort.error

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        backlog = self._scenario.migration.channels + 16
        try:
            server = await self._loop.create_server(self._greeter, host, port, backlog=backlog)
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        address = server.sockets[0].getsockname()
        self._threads.point("vm_state", running=False, runnable=False)
        self._threads.point("listening", host=address[0], port=address[1])
        return server

    def _greeter(self) -> Greeter:
        return Greeter(self._reception, self._adopt)

    async def _wait_for_source(self) -> None:
        seconds = self._scenario.timeouts.connect
        arrived: asyncio.Future[Any] = self._reception.complete
        over: asyncio.Future[Any] = asyncio.ensure_future(self._done.wait())
        await asyncio.wait({arrived, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        self.core.abort.check()
        if not arrived.done():
            missing = self._reception.missing()
            raise PeerTimeoutError(f"no complete source within {seconds:g} s; {missing}", phase="connect")

    def _start(self) -> None:
        """Everybody is here: the incoming thread runs, the channels are read."""
        self._started = True
        self._reception.begin()
        self.core.start(lambda: self._loop.call_soon_threadsafe(self._done.set))
        for channel in self._channels.values():
            channel.release("setup")

    def _adopt(self, transport: asyncio.Transport, channel: int | None) -> None:
        """A connection said what it is: give it the protocol that reads the rest."""
        if channel is None:
            self._adopt_main(transport)
            return
        reader = PacketReader(self._pool, self._limits, self._admission(channel))
        protocol = ChannelProtocol(channel, transport, reader, self.core, self._loop)
        self._readers[channel] = reader
        self._channels[channel] = protocol
        transport.set_protocol(protocol)

    def _admission(self, channel: int) -> Any:
        flow = self.core.plan.flow
        if flow is None:
            return None

        def admit(header: DevicePacketHeader) -> bool:
            is_config = bool(header.flags & FLAG_CONFIG)
            return flow.admit(channel, header.device, header.idx, header.size, is_config=is_config)

        return admit

    def _adopt_main(self, transport: asyncio.Transport) -> None:
        reader = MainReader(self._pool, self._limits)
        self._main = MainProtocol(transport, reader, self.core.queue, self.core.patience, self._main_ended)
        transport.set_protocol(self._main)
        self._main.feed(MAGIC)

    def _main_ended(self, end: End) -> None:
        if not self._started:
            self._fail(
                ConnectionLostError(
                    "the source closed the main channel before every channel was connected", phase="connect"
                )
            )
        elif end.error is not None and self.core.incoming.phase != "commit":
            self._fail(end.error)  # in the commit START may stand before it in the queue: its order decides

    def _reply(self, data: bytes) -> None:
        if self._main is not None:
            self._main.write(data)

    def _release(self, channel: int, reason: str) -> None:
        protocol = self._channels.get(channel)
        if protocol is not None:
            protocol.release(reason)

    def cancel(self, reason: str) -> None:
        """On the loop: end the migration on request; the source's VM goes on."""
        self._fail(CancelledMigrationError(reason))

    def _fail(self, error: MigemuError) -> None:
        self.core.failed(error)

    async def _tick(self) -> None:
        """Progress for people, signs of life for the source."""
        while True:
            await asyncio.sleep(TICK)
            self._threads.point("progress", **progress_of(self.core, self._readers).fields())
            self._ticks += 1
            if self._ticks % ALIVE_EVERY == 0 and self._moved():
                self._reply(returnpath.encode(extension.RP_ALIVE))

    def _moved(self) -> bool:
        """Whether anything moved since the last sign of life; a destination that is stuck keeps silent."""
        if not self._started or not self.core.incoming.extended:
            return False
        last, self._last_sign = self._last_sign, self.core.patience.last
        return self._last_sign > last

    async def _close(self) -> None:
        """Tell the source why, let go of every socket, join every thread."""
        error = self.core.abort.error
        if error is not None:
            self._say_failure(error)
        self._reception.close()
        for channel in self._channels.values():
            channel.close()
        if self._main is not None:
            await _within(self._main.gone(), GOODBYE_SECONDS)
            self._main.close()
        joined = await self._loop.run_in_executor(None, self.core.cleanup, JOIN_SECONDS)
        if not joined:
            self._threads.point("error", message=f"a thread did not end within {JOIN_SECONDS:g} s")

    def _say_failure(self, error: MigemuError) -> None:
        """Our last words on the return path, in the peer's language."""
        incoming = self.core.incoming
        if self._main is None:
            return
        if incoming.extended:
            reason = str(error).encode()[: returnpath.MAX_DATA]
            self._main.write_now(returnpath.encode(extension.RP_FAILED, reason))
        elif incoming.return_path:
            self._main.write_now(returnpath.shut(1))
        self._main.discard()


async def _within(awaitable: Any, seconds: float) -> None:
    """Wait for `awaitable`, but no longer than `seconds`."""
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return
