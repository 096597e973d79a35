"""One incoming migration on real sockets: the listener, the channels, the core, and the way it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migemu.destination.build import make_plan, wire_limits
from migemu.destination.channel import RECEIVE_THREAD, ChannelProtocol
from migemu.destination.core import Core
from migemu.destination.door import Door
from migemu.destination.mainchannel import End, MainProtocol
from migemu.destination.parting import GOODBYE_SECONDS, part
from migemu.destination.progress import progress_of
from migemu.destination.reception import Reception
from migemu.errors import CancelledMigrationError, MigemuError, PeerTimeoutError
from migemu.link import tls
from migemu.link.order_gates import make_gates
from migemu.link.room import send_room
from migemu.link.stages import Stages
from migemu.wire import extension, returnpath
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from migemu.destination.greeter import Greeter, Place
    from migemu.destination.plan import Plan
    from migemu.link.order_follow import Follow
    from migemu.link.order_tape import Tapes
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.wire.multifd import DevicePacketHeader

MAGIC = b"QEVM"
STAGES = {"setup": "setup", "switchover": "switchover", "non-iterable": "switchover", "eof": "switchover"}
"""Which time limit holds in which phase, besides the one for silence and the one for the whole."""
KEEP_UNLIMITED = 1 << 30
"""Free bytes kept for reuse where no cap says how much may be queued: fresh memory costs more than the copy
into it, because every page of it is a fault."""
TICK = 0.1
"""Seconds between two progress events."""
ALIVE_EVERY = 5
"""Ticks between two signs of life to the source."""
JOIN_SECONDS = 10.0
"""How long threads have to end once they were told to."""


class Session:
    """A destination that takes one migration.

    Args:
        scenario: already dilated.
        threads: the concurrency seam, its sink installed.
        tapes: where every connection is recorded, if it is.
        follow: the recorded order that packets keep to, if there is one.
    """

    def __init__(
        self,
        scenario: Scenario,
        threads: Threads,
        tapes: Tapes | None = None,
        follow: Follow | None = None,
    ) -> None:
        self._scenario = scenario
        self._loop = asyncio.get_running_loop()
        self._pool = HeapPool(keep=scenario.limits.queue_total or KEEP_UNLIMITED)
        self._limits = wire_limits(scenario)
        self._gates = make_gates(
            scenario, threads, self._loop, self._pool, self._limits, self._fail, tapes, follow
        )
        self._threads = threads = threads if self._gates is None else self._gates.threads
        self._channels: dict[int, ChannelProtocol] = {}
        self._readers: dict[int, PacketReader] = {}
        self._main: MainProtocol | None = None
        self._done = asyncio.Event()
        self._started = False
        self.address = ""
        self._ticks = 0
        self._last_sign = 0.0
        plan = make_plan(scenario, threads, lambda channel: self._release(channel, "queue cap"))
        self.core = self._make_core(plan)
        self._reception = Reception(scenario, threads, lambda: self.core.running)
        self._stages = Stages(threads, scenario.timeouts, STAGES)

    def _make_core(self, plan: Plan, kind: type[Core] = Core) -> Core:
        """The destination without its sockets, told how to reach them."""
        core = kind(plan, self._reply, lambda channel: self._release(channel, "sync"))
        core.machine.on_idle = lambda channel: self._release(channel, RECEIVE_THREAD)
        core.abort.on_abort(lambda _: self._loop.call_soon_threadsafe(self._done.set))
        core.finish.look = self._look
        return core

    def _look(self) -> None:
        """From the incoming thread: let the loop go round, and so read what has come."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(TICK), self._loop).result(JOIN_SECONDS)

    async def run(self, host: str, port: int) -> MigemuError | None:
        """Listen, take one migration, end; the error that ended it, if any.

        Raises:
            UsageError: the address cannot be listened on.
        """
        door = await self._listen(host, port)
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
            self._say_progress()  # what short runs have of CPU and memory
            await self._close()
            ticker.cancel()
            door.close()
        return self._verdict()

    def _verdict(self) -> MigemuError | None:
        """The error that ended it; or why it is not well although it went well: rules, recording."""
        short = None if self._gates is None else self._gates.finish()
        if self.core.abort.error is None and short is not None:
            self._threads.point("error", message=str(short.at(side="destination")), **short.where())
        return self.core.abort.error or short

    async def _listen(self, host: str, port: int) -> Door:
        backlog = self._scenario.limits.max_unfinished
        door = Door(self._reception, tls.context(self._scenario.tls, "destination"), backlog, self._gates)
        address = await door.open(host, port)
        self.address = f"{address[0]}:{address[1]}"
        self._threads.point("vm_state", running=False, runnable=False)
        self._threads.point("listening", host=address[0], port=address[1])
        return door

    async def _wait_for_source(self) -> None:
        """Wait until a whole source is here; one that goes away before makes room for the next."""
        seconds = self._scenario.timeouts.connect
        end = self._loop.time() + seconds
        while not self._reception.complete.done():
            await asyncio.wait({self._reception.complete}, timeout=TICK)
            self.core.abort.check()
            self._reception.sweep()
            if self._loop.time() >= end and not self._reception.complete.done():
                missing = self._reception.missing()
                limit = f"timeouts.connect = {seconds:g} s"
                raise PeerTimeoutError(f"no complete source within {limit}; {missing}", phase="connect")

    def _start(self) -> None:
        """Everybody is here: the incoming thread runs, the channels are read."""
        self._started = True
        places = self._reception.begin()
        for place, greeter in places.items():
            self._adopt(place, greeter)
        self.core.start(lambda: self._loop.call_soon_threadsafe(self._done.set))
        for channel in self._channels.values():
            channel.release("setup")

    def _adopt(self, place: Place, greeter: Greeter) -> None:
        """A connection's turn has come: give it the protocol that reads the rest."""
        transport = greeter.transport
        assert transport is not None  # noqa: S101  it was read from
        if place == "main":
            self._adopt_main(transport, secure=greeter.secure)
            return
        reader = self._packet_reader(place)
        turns, secure = self._takes_turns(greeter), greeter.secure
        protocol = ChannelProtocol(
            place, transport, reader, self.core, self._loop, secure=secure, turns=turns
        )
        self._readers[place] = reader
        self._channels[place] = protocol
        transport.set_protocol(protocol)

    def _takes_turns(self, greeter: Greeter) -> bool:
        """Whether the source bounds the send buffer, as a migemu does of a socket that it writes itself."""
        if greeter.secure or greeter.transport is None:
            return False
        migration, peer = self._scenario.migration, greeter.transport.get_extra_info("peername")
        return send_room(migration.channels, migration.packet_size, peer) is not None

    def _packet_reader(self, channel: int) -> PacketReader:
        return PacketReader(self._pool, self._limits, self._admission(channel))

    def _admission(self, channel: int) -> Any:
        flow = self.core.plan.flow
        if flow is None:
            return None

        def admit(header: DevicePacketHeader) -> bool:
            is_config = bool(header.flags & FLAG_CONFIG)
            return flow.admit(channel, header.device, header.idx, header.size, is_config=is_config)

        return admit

    def _adopt_main(self, transport: asyncio.Transport, *, secure: bool) -> None:
        reader = MainReader(self._pool, self._limits)
        core = self.core
        main = MainProtocol(transport, reader, core.queue, core.patience, self._main_ended, secure=secure)
        self._main = main
        transport.set_protocol(main)
        main.feed(MAGIC)
        transport.resume_reading()

    def _main_ended(self, end: End) -> None:
        if end.error is not None and self.core.incoming.phase != "commit":
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
            self._say_progress()
            self._check_stage()
            self._ticks += 1
            if self._ticks % ALIVE_EVERY == 0 and self._moved():
                self._reply(returnpath.encode(extension.RP_ALIVE))

    def _check_stage(self) -> None:
        """A stage of the migration may not take longer than its time limit, however much moves in it."""
        try:
            self._stages.check(self.core.incoming.phase if self._started else "connect")
        except MigemuError as error:
            self._fail(error)

    def _say_progress(self) -> None:
        self._threads.point("progress", **progress_of(self.core, self._readers).fields())

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
            if self._gates is not None:
                self._gates.open_up()
        for channel in self._channels.values():
            channel.close()
        if self._main is not None:
            asked = self.core.running and self.core.incoming.extended
            await part(self._main, self._scenario.timeouts.phase if asked else None)  # answering meanwhile
        self._reception.close()
        if self._main is not None:
            await self._answered()
            await self._main.close(GOODBYE_SECONDS)
        joined = await self._loop.run_in_executor(None, self.core.cleanup, JOIN_SECONDS)
        if not joined:
            self._threads.point("error", message=f"a thread did not end within {JOIN_SECONDS:g} s")

    async def _answered(self) -> None:
        """Order rules may hold our last answers back, though not for ever."""
        for _ in range(int(self._scenario.timeouts.phase / TICK)):
            if self._gates is None or not self._gates.answering():
                return
            await asyncio.sleep(TICK)

    def _say_failure(self, error: MigemuError) -> None:
        """Our last words on the return path, in the peer's language."""
        incoming = self.core.incoming
        if self._main is None:
            return
        if incoming.extended or self._main.announced:
            reason = str(error.at(side="destination", phase=incoming.phase)).encode()[: returnpath.MAX_DATA]
            self._main.write_now(returnpath.encode(extension.RP_FAILED, reason))
        elif incoming.return_path:
            self._main.write_now(returnpath.shut(1))
        self._main.discard()
