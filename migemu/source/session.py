"""One outgoing migration on real sockets: connect, run the migration thread, say goodbye."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migemu.errors import CancelledMigrationError, MigemuError, PeerTimeoutError
from migemu.handoff.choice import choose
from migemu.link.order_out import arm_source
from migemu.link.stages import Stages
from migemu.observe.progress import Progress
from migemu.observe.usage import usage
from migemu.source.ask import peer_state
from migemu.source.build import Guest
from migemu.source.channels import SendChannels
from migemu.source.dial import Dialer, make_links
from migemu.source.links import Courier, MainLink
from migemu.source.mainwriter import MainWriter
from migemu.source.migration import Migration, Parts
from migemu.source.onlink import Pacing
from migemu.source.returnpath import ReturnPath
from migemu.source.stream import Stream
from migemu.threads.sync import Abort, Patience, Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

TICK = 0.1
"""Seconds between two progress events."""
STAGES = {"setup": "setup", "device": "switchover", "commit": "switchover"}
"""Which time limit holds in which phase, besides the one for silence and the one for the whole."""
GRACE = 0.5
"""How long a lost multifd channel waits for the destination's own words about it."""
LAST_WORDS_SECONDS = 1.0
"""How long a destination that was told why this side gives up may take to answer or to close."""
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
        self._loop = asyncio.get_running_loop()
        self._courier = Courier(self._loop)
        self._rules, threads = arm_source(
            scenario, threads, self._loop, self._courier.post, self._broken_rule
        )
        self._threads = threads
        self._done = asyncio.Event()
        self._migrating = self._finished = False
        self._peer = "", 0
        self.address = ""
        self._migration_ended = asyncio.Event()
        self._heard = asyncio.Event()
        self.abort = Abort(threads)
        self.abort.on_abort(lambda _: self._loop.call_soon_threadsafe(self._done.set))
        self._patience = Patience(threads, scenario.timeouts.phase)
        self._pacing = Pacing(scenario.link, threads, self._loop, self._courier, self._lost_main)
        self._main = MainLink(self._courier, self._pacing.lost)
        self._links = make_links(scenario, self._courier, self._lost_channel)
        self._dialer = Dialer(scenario, threads, self.abort.check, self._rules)
        self._stages = Stages(threads, scenario.timeouts, STAGES)
        self.guest = self._make_guest(scenario, threads)
        self._parts = self._assemble()

    def _make_guest(self, scenario: Scenario, threads: Threads) -> Guest:
        return Guest(scenario, threads)

    def _assemble(self) -> Parts:
        scenario, threads = self._scenario, self._threads
        main, outlets = self._outlets()
        writer = MainWriter(threads, self.abort, self._patience, main)
        returns = ReturnPath(threads, self.abort, self._patience, scenario.limits.max_commands)
        channels = SendChannels(threads, self.abort, self._patience, outlets)
        main.writer, self._main.returns = writer, self._pacing.returns(returns)
        for outlet in outlets:
            outlet.channels = channels
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
            stream=Stream(writer, scenario.machine, scenario.migration_uuid().bytes),
            peer_state=self._peer_state,
        )

    def _outlets(self) -> tuple[Any, Sequence[Any]]:
        """What is written to: the main channel's and the others' links, or what stands before them."""
        main, outlets = self._pacing.main(self._main), self._pacing.outlets(self._links)
        rules = self._rules
        if rules is None:
            return main, outlets
        ruled = [
            rules.channel(link.channel, outlet, link, self._lost_channel)
            for link, outlet in zip(self._links, outlets, strict=True)
        ]
        return rules.main(main, self._main, self._lost_main), ruled

    async def run(self, host: str, port: int) -> MigemuError | None:
        """Connect, migrate, end; the error that ended it, if any."""
        ticker = self._loop.create_task(self._tick())
        self._peer = host, port
        self.address = f"{host}:{port}"
        self.guest.vm.start()
        try:
            await self._dialer.connect(host, port, self._main, self._links)
            self._pacing.ceiling(link.fileno() for link in (self._main, *self._links))
            self._say_progress()
            self._migrating = True
            self._threads.spawn("migration", self._migrate)
            await asyncio.wait_for(self._done.wait(), self._scenario.timeouts.total)
        except TimeoutError:
            limit = self._scenario.timeouts.total
            self.abort.set(PeerTimeoutError(f"not over after timeouts.total = {limit:g} s", side="source"))
        except MigemuError as error:
            self.abort.set(error.at(side="source", phase="connect"))
        self._say_progress()  # what short runs have of CPU and memory
        await self._close()
        ticker.cancel()
        return self._verdict()

    def _verdict(self) -> MigemuError | None:
        """The error that ended it; or what a required order rule fell short of."""
        short = None if self._rules is None else self._rules.finish()
        if self.abort.error is None and short is not None:
            self._threads.point("error", message=str(short.at(side="source")), **short.where())
        return self.abort.error or short

    def _broken_rule(self, error: MigemuError) -> None:
        self.abort.set(error.at(side="source", phase=self._parts.phase))

    def _migrate(self) -> None:
        Migration(self._parts).run()
        self._finished = self.abort.error is None
        self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        self._migration_ended.set()
        self._done.set()

    def _lost_main(self, error: MigemuError) -> None:
        self._heard.set()
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
        asked = asyncio.run_coroutine_threadsafe(
            peer_state(*self._peer, self._dialer.context, self._dialer.server_name), self._loop
        )
        return asked.result()

    def cancel(self, reason: str) -> None:
        """On the loop: end the migration on request; the VM stays here, unless it has been given up."""
        if self._parts.vm.disowned:
            self._threads.point("error", message=f"{reason}: too late, the destination has the VM")
            return
        self.abort.set(CancelledMigrationError(reason, side="source", phase=self._parts.phase))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._say_progress()
            self._check_stage()

    def _check_stage(self) -> None:
        """A stage of the migration may not take longer than its time limit, however much moves in it."""
        try:
            self._stages.check(self._parts.phase)
        except MigemuError as error:
            self.abort.set(error.at(side="source"))

    def _say_progress(self) -> None:
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
            sizes={device.model.name: device.source.size + device.precopy_bytes for device in devices},
            states={device.model.name: str(device.state) for device in devices},
            cpu=used.cpu,
            memory=used.memory,
        )

    async def _close(self) -> None:
        """Wait for the threads, then let go of every socket."""
        for device in self.guest.devices:
            if self.abort.error is not None:
                device.cancel()
        if self._migrating:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._migration_ended.wait(), JOIN_SECONDS)
        failed = self.abort.error is not None
        if not failed:
            await self._pacing.settled()
        elif self._parts.stream.gave_up:
            await self._hear_out()
        for link in self._links:
            link.close(abort=failed)
        self._main.close(abort=failed)
        await self._loop.run_in_executor(None, self._end_threads)

    async def _hear_out(self) -> None:
        """A reset throws away what is still under way: let the destination hear why, though not for ever."""
        with suppress(TimeoutError):
            seconds = LAST_WORDS_SECONDS + 2 * self._scenario.link.delay
            await asyncio.wait_for(self._heard.wait(), seconds)

    def _end_threads(self) -> None:
        if not self._parts.pool.join(JOIN_SECONDS):
            self._threads.point("error", message=f"a save thread did not end within {JOIN_SECONDS:g} s")
        self.guest.close()
