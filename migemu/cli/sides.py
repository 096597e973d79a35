"""``migemu source`` and ``migemu destination``: the two processes of a migration."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
import uvloop
from rich.console import Console

from migemu.cli.address import parse_address, parse_target
from migemu.cli.captures import FOLLOW, RECORD, following, recording
from migemu.cli.control import reachable
from migemu.cli.listening import check_listen
from migemu.cli.options import LINK, link_settings, read_scenario, scenario_options
from migemu.cli.peers import assumed, receiving_session, sending_session, source_options, target_options
from migemu.errors import CancelledMigrationError, MigemuError
from migemu.observe import logs
from migemu.observe.live import json_lines, live_view
from migemu.observe.recorder import Recorder, prepare
from migemu.observe.summary import print_summary
from migemu.scenario import dilated
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.observe.events import Event
    from migemu.scenario import Scenario, Side
    from migemu.threads.api import Threads

SWITCH_INTERVAL = 0.0005
"""Seconds a thread keeps the interpreter when another wants it: the loop must not wait 5 ms for a thread
that only counts, or a channel idles."""


GC_THRESHOLDS = 50_000, 20, 100
"""Events are kept, so the collector's frequent full passes over them found nothing and cost a tenth."""


class SideSession(Protocol):
    """One side of a migration."""

    address: str
    """Where it listens, or what it connects to; empty while that is not known."""

    async def run(self, host: str, port: int) -> MigemuError | None:
        """Take part in one migration; the error that ended it."""
        ...

    def cancel(self, reason: str) -> None:
        """End it on request."""
        ...


@click.command()
@scenario_options
@click.option(
    "--listen", required=True, metavar="HOST:PORT", help="Where to listen; port 0 picks a free one."
)
@click.option("--insecure", is_flag=True, help="Listen where others can reach it although TLS is not set.")
@RECORD
@FOLLOW
@source_options
def destination(
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    *,
    as_json: bool,
    listen: str,
    insecure: bool,
    record: Path | None,
    follow: Path | None,
    **wishes: Any,
) -> None:
    """Receive one migration of CONFIG, verify it, and run the VM.

    The source may be a QEMU. With --peer qemu nothing need be known of it: RAM, devices, machine type and the
    number of channels are what it says.
    """
    host, _ = parse_address(listen)
    overrides = (*assumed(config, wishes["peer"]), *overrides)
    scenario = read_scenario(config, overrides, "destination")
    check_listen(host, secure=scenario.tls.on, insecure=insecure)
    tapes = recording(record or wishes["save"], scenario, wishes["peer"])
    session = receiving_session(tapes, following(follow), **wishes)
    run_side("destination", scenario, out, as_json=as_json, address=listen, session=session)


@click.command()
@scenario_options
@LINK
@click.option("--connect", required=True, metavar="HOST:PORT", help="Where the destination listens.")
@target_options
def source(
    config: Path | None,
    overrides: tuple[str, ...],
    link: str | None,
    out: Path | None,
    *,
    as_json: bool,
    connect: str,
    peer: str,
    **target: Any,
) -> None:
    """Migrate the VM of CONFIG to a destination.

    With --peer qemu it is a real QEMU, which is sent just what a QEMU sends: RAM, VFIO devices, EOF.
    """
    parse_target(connect)
    overrides = (*assumed(config, peer), *link_settings(link), *overrides)
    scenario = read_scenario(config, overrides, "source")
    session = sending_session(peer, **target)
    run_side("source", scenario, out, as_json=as_json, address=connect, session=session)


def run_side(
    side: Side,
    scenario: Scenario,
    out: Path | None,
    *,
    as_json: bool,
    address: str,
    session: Callable[[Scenario, Threads], SideSession],
) -> None:
    """One side from the command line to its exit code."""
    host, port = parse_address(address)
    folder = prepare(out) if out is not None else None
    recorder = Recorder(side, scenario)
    error = watch(recorder, lambda: migrate(recorder, session, host, port), as_json=as_json)
    if not as_json:
        print_summary(recorder.result(error), Console(stderr=False, highlight=False))
    if folder is not None:  # after the summary: a full disk takes the files, not the figures
        recorder.save(folder, error)
    if error is not None:
        raise error


def receive_here(
    scenario: Scenario, folder: Path, session: Callable[[Scenario, Threads], SideSession]
) -> int:
    """A destination that another process of this program started: on a free port of this machine, JSON out.

    Returns:
        The process's exit code.
    """
    try:
        run_side("destination", scenario, folder, as_json=True, address="127.0.0.1:0", session=session)
    except MigemuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def watch(recorder: Recorder, work: Callable[[], MigemuError | None], *, as_json: bool) -> MigemuError | None:
    """Run `work` while its events are shown."""
    if as_json:
        recorder.log.subscribe(logged(recorder.side, json_lines(sys.stdout)))
        return work()
    with live_view(Console(highlight=False), f"{recorder.side} {recorder.scenario.name}") as view:
        recorder.log.subscribe(logged(recorder.side, view))
        return work()


def logged(side: str, watcher: Callable[[Event], None]) -> Callable[[Event], None]:
    """`watcher`, and the log on stderr where --log-level asks for it."""
    if not logs.wanted():
        return watcher
    log = logs.of_events(side)

    def both(event: Event) -> None:
        log(event)
        watcher(event)

    return both


def migrate(
    recorder: Recorder, session: Callable[[Scenario, Threads], SideSession], host: str, port: int
) -> MigemuError | None:
    """One migration on a loop of its own."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    threads = NativeThreads(recorder.log.sink)
    try:
        return uvloop.run(_migrate(recorder.side, session, dilated(recorder.scenario), threads, host, port))
    except KeyboardInterrupt:
        return CancelledMigrationError("interrupted", side=recorder.side)
    except MigemuError:  # a UsageError: nothing has begun
        raise
    except Exception as error:  # noqa: BLE001  a process's last line of defence: a line, not a traceback
        return _defect(error, recorder.side)


def _defect(error: Exception, side: str) -> MigemuError:
    """An error outside the tree is one of this program's; where it was raised is what its author needs."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    return MigemuError(f"a defect of migemu: {type(error).__name__}: {error} ({where})", side=side)


async def _migrate(
    side: str,
    session: Callable[[Scenario, Threads], SideSession],
    scenario: Scenario,
    threads: Threads,
    host: str,
    port: int,
) -> MigemuError | None:
    taking_part = session(scenario, threads)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _cancel, taking_part, number)
    async with reachable(side, scenario.name, lambda: taking_part.address, taking_part.cancel):
        return await taking_part.run(host, port)


def _cancel(session: SideSession, number: Any) -> None:
    session.cancel(f"cancelled by {signal.Signals(number).name}")
