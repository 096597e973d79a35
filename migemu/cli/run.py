"""``migemu run``: source and destination as two processes, on loopback or in a place, watched as one."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.console import Console

from migemu.cli.captures import RECORD
from migemu.cli.options import LINK, link_settings, read_scenario, scenario_options
from migemu.cli.pingpong import PING_PONG, ping_pong
from migemu.cli.place import Place, placed
from migemu.errors import MigemuError, UsageError
from migemu.observe import events
from migemu.observe.join import join
from migemu.observe.live import json_lines, live_view
from migemu.observe.recorder import CONFIG, EVENTS, make_result, prepare, save
from migemu.observe.result import RunEnd
from migemu.observe.summary import print_summary
from migemu.scenario import dump_toml

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.scenario import Scenario, Side

LISTEN_SECONDS = 30.0
"""How long the destination process has to come up."""
LAST_SECONDS = 20.0
"""How long the other process has once one has ended."""
LINE_LIMIT = 1 << 20
"""Bytes of the longest event line."""


@click.command(short_help="Migrate between two processes.")
@scenario_options
@LINK
@click.option(
    "--virtual", is_flag=True, help="In virtual time: both sides in one process, link and clock modelled."
)
@RECORD
@PING_PONG
def run(
    config: Path | None,
    overrides: tuple[str, ...],
    link: str | None,
    out: Path | None,
    as_json: bool,  # noqa: FBT001  click's
    virtual: bool,  # noqa: FBT001  click's
    record: Path | None,
    rounds: int | None,
) -> None:
    """Migrate CONFIG (or the built-in default) between two processes on this machine."""
    scenario = read_scenario(config, (*link_settings(link), *overrides))
    if rounds is not None:
        if virtual or record is not None or out is not None:
            raise UsageError("--ping-pong keeps nothing: leave out --virtual, --record and --out")
        ping_pong(scenario, rounds)
        return
    if virtual:
        check_modelled(scenario, record)
    if record is not None:
        prepare(record)
    folder = prepare(out) if out is not None else None
    if virtual:
        outcome = run_modelled(scenario, folder, as_json=as_json)
    else:
        outcome = run_watched(scenario, folder, as_json=as_json, record=record)
    if not as_json:
        print_summary(outcome, Console(highlight=False))
        if folder is not None:
            click.echo(f"kept in {folder}")
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)


def check_modelled(scenario: Scenario, record: Path | None) -> None:
    """In virtual time nothing goes over a wire.

    Raises:
        UsageError: there is something to be done on one.
    """
    if scenario.order or record is not None:
        what = "order rules act" if scenario.order else "--record looks"
        raise UsageError(f"{what} on real connections, and --virtual has none")


def run_watched(
    scenario: Scenario, folder: Path | None, *, as_json: bool, record: Path | None = None
) -> Result:
    """Run while events are shown; keep what it leaves in `folder`, what went over the wire in `record`."""
    if as_json:
        return run_pair(scenario, json_lines(sys.stdout), folder, record)
    with live_view(Console(highlight=False), scenario.name) as view:
        return run_pair(scenario, view, folder, record)


def run_modelled(scenario: Scenario, folder: Path | None, *, as_json: bool) -> Result:
    """Run in virtual time; its events are told when it is over, which is soon."""
    from migemu.lab.virtual import run_virtual  # noqa: PLC0415  greenlets are for those who ask for them

    measured = run_virtual(scenario)
    if as_json:
        for event in measured.events:
            click.echo(event.encode())
    if folder is not None:
        save(folder, scenario, measured.events, measured.result)
    return measured.result


def run_pair(
    scenario: Scenario,
    subscriber: Callable[[Event], None],
    folder: Path | None,
    record: Path | None = None,
) -> Result:
    """One migration between two processes; its result, from both sides' events.

    Raises:
        UsageError: a process refused what it was asked: there is nothing to sum up.
    """
    told = migrate_pair(scenario, subscriber, record)
    if told.end.exit_code == UsageError.exit_code and not told.events:
        raise UsageError("\n".join(told.end.reasons))
    outcome = make_result(scenario, told.events, told.end)
    if folder is not None:
        save(folder, scenario, told.events, outcome)
    return outcome


class Told(NamedTuple):
    """What two processes left behind."""

    events: list[Event]
    """Of both sides, joined."""
    end: RunEnd
    interrupted: bool
    """A person ended it: what was measured says nothing."""


def migrate_pair(scenario: Scenario, subscriber: Callable[[Event], None], record: Path | None = None) -> Told:
    """One migration between two processes; nothing is kept, but for a recording where one is asked for."""
    with tempfile.TemporaryDirectory(prefix="migemu-") as scratch, placed() as place:
        pair = Pair(scenario, Path(scratch), subscriber, place, record)
        end = asyncio.run(pair.run())
        joined = join(pair.events("source"), pair.events("destination"))
    return Told(joined, end, pair.interrupted)


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
            if await self._listening():
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
        waits = {asyncio.ensure_future(process.wait()) for process in self._processes.values()}
        if len(waits) > 1:
            _, waits = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if waits:
            await asyncio.wait(waits, timeout=LAST_SECONDS)

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
        failed = [code for code in exits.values() if code != 0]
        usage = any(code == MigemuError.exit_code + 1 for code in failed)
        return RunEnd(exit_code=2 if usage else int(bool(failed)), reasons=reasons, exits=exits)

    def _unexplained(self, side: str, code: int | None) -> bool:
        """Whether a side failed and no event of it says why."""
        if code == 1:
            return all(event.event != "error" for event in self.events(side))
        return code != 0

    def _reason(self, side: str, code: int | None) -> str:
        told = (self._told.get(side) or "without a word").removeprefix("migemu: ")
        if code == 1:  # not an error of ours but a crash: the last line of a traceback says what it was
            told = told.splitlines()[-1]
        if code is None:
            return f"{side}: did not end by itself"
        return f"{side}: killed by {signal.Signals(-code).name}" if code < 0 else f"{side}: {told}"

    def events(self, side: str) -> list[Event]:
        """What `side` recorded; or, if it was killed before it could keep it, what it had said."""
        path = self._scratch / side / EVENTS
        return events.read(path, torn=True) if path.exists() else self._seen.get(side, [])
