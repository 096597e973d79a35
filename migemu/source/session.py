"""One outgoing migration on real sockets: connect, run the migration thread, say goodbye."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from migemu.errors import CancelledMigrationError, ConnectionLostError, MigemuError, PeerTimeoutError
from migemu.handoff.choice import choose
from migemu.observe.progress import Progress
from migemu.observe.usage import usage
from migemu.source.ask import peer_state
from migemu.source.build import Guest
from migemu.source.channels import SendChannels
from migemu.source.links import Courier, MainLink
from migemu.source.mainwriter import MainWriter
from migemu.source.migration import Migration, Parts
from migemu.source.returnpath import ReturnPath
from migemu.source.socketlink import SocketLink, connect
from migemu.source.stream import Stream
from migemu.threads.sync import Abort, Patience, Pool
from migemu.wire.hello import Hello

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

T = TypeVar("T")

TICK = 0.1
"""Seconds between two progress events."""
RETRY = 0.1
"""Seconds between two tries to connect while nobody listens yet."""
GRACE = 0.5
"""How long a lost multifd channel waits for the destination's own words about it."""
JOIN_SECONDS = 10.0
"""How long threads have to end once they were told to."""


class Session:
    """A source that migrates its VM once.

    Args:
        scenario: already dilated.
        threads: the concurrency seam, its sink installed.
    """

    def __init__(self, scenario: Scenario, threads: Threads) -> None:
        self._scenario = scenario
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._courier = Courier(self._loop)
        self._done = asyncio.Event()
        self._finished = False
        self._peer = "", 0
        self._migration_ended = asyncio.Event()
        self.abort = Abort(threads)
        self.abort.on_abort(lambda _: self._loop.call_soon_threadsafe(self._done.set))
        self._patience = Patience(threads, scenario.timeouts.phase)
        self._main = MainLink(self._courier, self._lost_main)
        self._links = [
            SocketLink(channel, self._loop, self._courier, self._lost_channel)
            for channel in range(scenario.migration.channels)
        ]
        self.guest = Guest(scenario, threads)
        self._parts = self._assemble()

    def _assemble(self) -> Parts:
        scenario, threads = self._scenario, self._threads
        writer = MainWriter(threads, self.abort, self._patience, self._main)
        returns = ReturnPath(threads, self.abort, self._patience)
        channels = SendChannels(threads, self.abort, self._patience, self._links)
        self._main.writer, self._main.returns = writer, returns
        for link in self._links:
            link.channels = channels
        return Parts(
            scenario=scenario,
            design=choose(scenario).design,
            threads=threads,
            abort=self.abort,
            patience=self._patience,
            pool=Pool(threads, self.abort, "save threads"),
            main=writer,
            returns=returns,
            channels=channels,
            vm=self.guest.vm,
            ram=self.guest.sender(scenario, threads, channels),
            stream=Stream(writer, scenario.machine),
            peer_state=self._peer_state,
        )

    async def run(self, host: str, port: int) -> MigemuError | None:
        """Connect, migrate, end; the error that ended it, if any."""
        ticker = self._loop.create_task(self._tick())
        self._peer = host, port
        self.guest.vm.start()
        try:
            await self._connect(host, port)
            self._threads.spawn("migration", self._migrate)
            await asyncio.wait_for(self._done.wait(), self._scenario.timeouts.total)
        except TimeoutError:
            limit = self._scenario.timeouts.total
            self.abort.set(PeerTimeoutError(f"not over after timeouts.total = {limit:g} s", side="source"))
        except MigemuError as error:
            self.abort.set(error.at(side="source", phase="connect"))
        await self._close()
        ticker.cancel()
        return self.abort.error

    def _migrate(self) -> None:
        Migration(self._parts).run()
        self._finished = self.abort.error is None
        self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        self._migration_ended.set()
        self._done.set()

    async def _connect(self, host: str, port: int) -> None:
        """The main channel first, then all multifd channels at once, as QEMU does."""
        deadline = self._loop.time() + self._scenario.timeouts.connect
        await self._open(lambda: self._loop.create_connection(lambda: self._main, host, port), deadline)
        uuid = self._scenario.migration_uuid().bytes
        await asyncio.gather(*(self._open_channel(link, uuid, host, port, deadline) for link in self._links))
        self._threads.point("connected", channels=len(self._links))

    async def _open_channel(
        self, link: SocketLink, uuid: bytes, host: str, port: int, deadline: float
    ) -> None:
        connected = await self._open(lambda: connect(self._loop, host, port), deadline)
        await self._loop.sock_sendall(connected, Hello(uuid, link.channel).encode())
        link.attach(connected)
        self._threads.point("multifd_new_send_channel_async", channel=link.channel)

    async def _open(self, attempt: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Connect one socket; a refused connection is tried again until the deadline."""
        while True:
            self.abort.check()
            try:
                async with asyncio.timeout_at(deadline):
                    return await attempt()
            except (OSError, TimeoutError) as error:
                if self._loop.time() + RETRY >= deadline or not isinstance(error, ConnectionRefusedError):
                    raise self._unreachable(error) from None
                await asyncio.sleep(RETRY)

    def _unreachable(self, error: OSError | TimeoutError) -> MigemuError:
        seconds = self._scenario.timeouts.connect
        reason = str(getattr(error, "strerror", None) or error or "no answer")
        host, port = self._peer
        return ConnectionLostError(f"no destination at {host}:{port} within {seconds:g} s: {reason}")

    def _lost_main(self, error: MigemuError) -> None:
        if self._finished or self._parts.returns.shut is not None:
            return
        error.at(side="source", phase=self._parts.phase)
        self._parts.returns.end(error)
        if not self._parts.vm.disowned:
            self.abort.set(error)

    def _lost_channel(self, error: MigemuError) -> None:
        """The destination closes its channels when it fails; its reason may still be on its way."""
        if self._finished or self._parts.returns.shut is not None:
            return
        error.at(side="source", phase=self._parts.phase)
        self._loop.call_later(GRACE, self._give_up_channel, error)

    def _give_up_channel(self, error: MigemuError) -> None:
        """After the commit a channel has nothing to carry any more, and only the main channel counts."""
        if not self._finished and not self._parts.vm.disowned:
            self.abort.set(error)

    def _peer_state(self) -> str:
        """From the migration thread: what a new connection says of the destination."""
        asked = asyncio.run_coroutine_threadsafe(peer_state(*self._peer), self._loop)
        return asked.result()

    def cancel(self, reason: str) -> None:
        """On the loop: end the migration on request; the VM stays here."""
        self.abort.set(CancelledMigrationError(reason, side="source", phase=self._parts.phase))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._threads.point("progress", **self._progress().fields())

    def _progress(self) -> Progress:
        used = usage()
        devices = self.guest.devices
        return Progress(
            phase=self._parts.phase,
            ram_sent=self._parts.ram.bytes,
            ram_pending=self.guest.dirty.count() * 4096,
            ram_size=self.guest.ram.size,
            channels=list(self._parts.channels.sent),
            devices={device.model.name: device.data_bytes for device in devices},
            sizes={device.model.name: device.source.size for device in devices},
            states={device.model.name: str(device.state) for device in devices},
            cpu=used.cpu,
            memory=used.memory,
        )

    async def _close(self) -> None:
        """Wait for the threads, then let go of every socket."""
        for device in self.guest.devices:
            if self.abort.error is not None:
                device.cancel()
        if self._parts.phase != "connect":
            with suppress(TimeoutError):
                await asyncio.wait_for(self._migration_ended.wait(), JOIN_SECONDS)
        failed = self.abort.error is not None
        for link in self._links:
            link.close(abort=failed)
        self._main.close(abort=failed)
        await self._loop.run_in_executor(None, self._end_threads)

    def _end_threads(self) -> None:
        if not self._parts.pool.join(JOIN_SECONDS):
            self._threads.point("error", message=f"a save thread did not end within {JOIN_SECONDS:g} s")
        self.guest.close()
