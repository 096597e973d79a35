"""The two processes of a run: started, listened to, and none left behind."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from migemu.errors import UsageError
from migemu.observe import events
from migemu.observe.recorder import CONFIG, EVENTS
from migemu.observe.result import RunEnd
from migemu.scenario import dump_toml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.cli.place import Place
    from migemu.observe.events import Event
    from migemu.scenario import Scenario, Side

LISTEN_SECONDS = 30.0
"""How long the destination process has to come up."""
LAST_SECONDS = 20.0
"""How long the other process has once one has ended."""
LINE_LIMIT = 1 << 20
"""Bytes of the longest event line."""


class Pair:
    """The two processes of a run.

    Args:
        scenario: what they migrate; its relative paths are already absolute.
        scratch: a folder of this run.
        subscriber: told of both sides' events as they come.
        place: where they run.
        record: where the destination records every connection, if it does.
    """

    def __init__(
        self,
        scenario: Scenario,
        scratch: Path,
        subscriber: Callable[[Event], None],
        place: Place,
        record: Path | None = None,
    ) -> None:
        self._record = () if record is None else ("--record", str(record.absolute()))
        self._place = place
        self._scratch = scratch
        self._subscriber = subscriber
        self._address: asyncio.Future[str] | None = None
        self._told: dict[str, str] = {}
        self._seen: dict[str, list[Event]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._late: set[str] = set()
        self.interrupted = False
        self._config = scratch / CONFIG
        self._config.write_text(dump_toml(scenario), encoding="utf-8")

    async def run(self) -> RunEnd:
        """Start both, wait for both; never leaves one behind."""
        loop = asyncio.get_running_loop()
        self._address = loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._forward, number)
        try:
            readers = [await self._start("destination", "--listen", self._place.listen)]
            if await self._listening() and not self.interrupted:
                readers.append(await self._start("source", "--connect", self._address.result()))
            await self._wait()
            await asyncio.gather(*readers)
        finally:
            self._kill_all()
        return self._end()

    async def _start(self, side: Side, option: str, address: str) -> asyncio.Task[None]:
        process = await asyncio.create_subprocess_exec(
            *self._command(side, option, address),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        self._processes[side] = process
        if self.interrupted:  # before there was anybody to pass it on to
            process.terminate()
        return asyncio.ensure_future(self._read(side, process))

    def _command(self, side: Side, option: str, address: str) -> list[str]:
        """What is started."""
        command = [*self._place.enter.get(side, ()), sys.executable, "-m", "migemu", side]
        command += [str(self._config), option, address]
        if side == "destination":
            command += ["--insecure"] * self._place.insecure
            command += self._record
        return [*command, "--json", "--out", str(self._scratch / side)]

    async def _read(self, side: str, process: asyncio.subprocess.Process) -> None:
        """Pass on a process's events; what it says on stderr is its reason should it fail."""
        assert process.stdout is not None  # noqa: S101  both are pipes
        assert process.stderr is not None  # noqa: S101
        words = asyncio.ensure_future(process.stderr.read())
        async for line in process.stdout:
            event = events.Event.decode(line)
            if event.event == "listening" and self._address is not None and not self._address.done():
                self._address.set_result(f"{event.get('host')}:{event.get('port')}")
            self._seen.setdefault(side, []).append(event)
            self._subscriber(event)
        self._told[side] = (await words).decode(errors="replace").strip()

    async def _listening(self) -> bool:
        """Whether the destination listens; False when it ended instead."""
        assert self._address is not None  # noqa: S101  set before anything is started
        ended: asyncio.Future[Any] = asyncio.ensure_future(self._processes["destination"].wait())
        address: asyncio.Future[Any] = self._address
        await asyncio.wait({address, ended}, timeout=LISTEN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        return self._address.done()

    async def _wait(self) -> None:
        """Wait for one process without a limit of our own (each has its own), then soon for the other."""
        waits = {asyncio.ensure_future(process.wait()): side for side, process in self._processes.items()}
        if len(waits) > 1:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        _, late = await asyncio.wait(waits, timeout=LAST_SECONDS)
        self._late = {waits[one] for one in late}
        if late:  # what they still have to say would be waited for without end
            self._kill_all()
            await asyncio.wait(late)

    def _forward(self, number: int) -> None:
        """Ctrl-C here is a cancel there."""
        self.interrupted = True
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def _kill_all(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()

    def _end(self) -> RunEnd:
        exits = {side: process.returncode for side, process in self._processes.items()}
        reasons = tuple(
            self._reason(side, code) for side, code in exits.items() if self._unexplained(side, code)
        )
        if self.interrupted and not self._seen:
            reasons = ("interrupted before anything was migrated",)
        failed = [code for code in exits.values() if code != 0]
        usage = any(code == UsageError.exit_code for code in failed)
        exit_code = UsageError.exit_code if usage else int(bool(failed))
        return RunEnd(exit_code=exit_code, reasons=reasons, exits=exits)

    def _unexplained(self, side: str, code: int | None) -> bool:
        """Whether a side failed and no event of it says why."""
        if code == 1:
            return all(event.event != "error" for event in self.events(side))
        return code != 0

    def _reason(self, side: str, code: int | None) -> str:
        told = (self._told.get(side) or "without a word").removeprefix("migemu: ")
        if side in self._late or code is None:
            return f"{side}: did not end by itself"
        if code < 0:
            return f"{side}: killed by {signal.Signals(-code).name}"
        if code == 1:  # not an error of ours but a crash: the last line of a traceback says what it was
            told = told.splitlines()[-1]
        return f"{side}: {told}"

    def events(self, side: str) -> list[Event]:
        """What `side` recorded; or, if it was killed before it could keep it, what it had said."""
        path = self._scratch / side / EVENTS
        return events.read(path, torn=True) if path.exists() else self._seen.get(side, [])
