"""``migemu tap``: stand between the two ends of a migration and see what goes by."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from migemu.cli.address import parse_address
from migemu.cli.captures import RECORD, recording
from migemu.cli.listening import check_listen
from migemu.cli.options import JSON, OUT
from migemu.errors import CancelledMigrationError, MigemuError
from migemu.observe.index import Index
from migemu.observe.join import join
from migemu.observe.live import json_lines
from migemu.observe.recorder import PACKETS, prepare, save_with
from migemu.observe.report import as_passed
from migemu.observe.result import RunEnd, build_result
from migemu.observe.summary import print_summary
from migemu.qemu.tap import Tap, through
from migemu.qemu.tap_ruled import RuledTap, through_rules
from migemu.qemu.tap_watch import Watch
from migemu.scenario import default, load
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from migemu.link.order_tape import Tapes
    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.scenario import Scenario


@click.command()
@click.option("--listen", required=True, metavar="HOST:PORT", help="Where the source is told to migrate to.")
@click.option("--connect", required=True, metavar="ADDRESS", help="The destination: HOST:PORT or unix:PATH.")
@RECORD
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A scenario whose [[order]] rules act on what goes by.",
)
@click.option("--insecure", is_flag=True, help="Listen where others can reach it.")
@OUT
@JSON
def tap(
    listen: str,
    connect: str,
    record: Path | None,
    rules: Path | None,
    out: Path | None,
    *,
    insecure: bool,
    as_json: bool,
) -> None:
    """Pass one migration on between a source and a destination, QEMU or migemu, and tell what went by.

    Every connection made to --listen is made anew to --connect. The exit code is the migration's: 0 when the
    destination said that all is well, or nothing said otherwise.
    """
    host, port = parse_address(listen)
    check_listen(host, secure=False, insecure=insecure)
    folder = prepare(out) if out is not None else None
    scenario = load(rules) if rules is not None else default(overrides=["devices=0", "name=tap"])
    tapes = recording(record, scenario, "qemu")(NativeThreads())
    watch = Watch(scenario.limits.events)
    if as_json:
        for log in watch.logs.values():
            log.subscribe(json_lines(sys.stdout))
    error = asyncio.run(_tap(connect, host, port, watch, scenario if rules else None, tapes))
    _finish(watch, scenario, folder, error, as_json=as_json)


async def _tap(
    to: str, host: str, port: int, watch: Watch, ruled: Scenario | None, tapes: Tapes | None
) -> MigemuError | None:
    """One migration, or until somebody interrupts it."""
    loop, work = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel) if work is not None else None
    where = to, host, port, watch, tapes
    try:
        return await (_plain(*where) if ruled is None else _ruled(*where, ruled))
    except asyncio.CancelledError:
        return CancelledMigrationError("interrupted: every connection was cut")


async def _plain(to: str, host: str, port: int, watch: Watch, tapes: Tapes | None) -> MigemuError | None:
    standing = Tap(to, watch, tapes)
    try:
        _say(watch, standing.listen(host, port))
        while not await asyncio.to_thread(standing.wait, 0.5):
            pass
    finally:
        standing.close()
    return None if tapes is None else tapes.finish()


async def _ruled(
    to: str, host: str, port: int, watch: Watch, tapes: Tapes | None, scenario: Scenario
) -> MigemuError | None:
    standing = RuledTap(to, watch, scenario, tapes)
    try:
        _say(watch, await standing.listen(host, port))
        await standing.wait()
    finally:
        await standing.close()
    return standing.error


def _say(watch: Watch, address: str) -> None:
    host, port = parse_address(address.removeprefix("tcp:"))
    watch.say("destination", "listening", host=host, port=port)
    click.echo(f"tap: migrate to {address}", err=True)


def _finish(
    watch: Watch, scenario: Scenario, folder: Path | None, error: MigemuError | None, *, as_json: bool
) -> None:
    """Tell what went by."""
    joined = join(watch.logs["source"].events(), watch.logs["destination"].events())
    outcome = outcome_of(watch, scenario, joined, error)
    if not as_json:
        print_summary(as_passed(outcome, Index(joined)), Console(highlight=False))
        for line in [*watch.packets.lines(), *(f"not read: {what}" for what in watch.unseen)]:
            click.echo(line)
    if folder is not None:  # after the summary: a full disk takes the files, not the figures
        save(folder, watch, joined, outcome)
    if error is not None:
        raise error
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)


def outcome_of(
    watch: Watch, scenario: Scenario, joined: Sequence[Event], error: MigemuError | None = None
) -> Result:
    """The result as the wire tells it."""
    effective: dict[str, Any] = scenario.model_dump(mode="json")
    # Nothing of these is known to a tap: the devices are those that go by.
    effective |= {
        "device": [],
        "handoff": "",
        "limits": {},
        "platform": {"needs_interrupt_controller": False},
    }
    reasons = () if watch.completed else ("the migration did not complete, as far as the wire tells",)
    end = RunEnd(int(not watch.completed), (*reasons, *([str(error)] if error else [])))
    return build_result(joined, effective, end)


def save(folder: Path, watch: Watch, joined: Sequence[Event], outcome: Result) -> None:
    """Keep events, result and every device packet's name.

    Raises:
        MigemuError: the disk does not take them.
    """
    save_with(folder, joined, outcome, PACKETS, "".join(f"{packet.line()}\n" for packet in watch.packets))


class Tapped:
    """A tap between the two QEMUs of a verb.

    Args:
        scenario: its order rules act; without any the tap only looks.
        record: where it records what went over every connection, if it does.
    """

    def __init__(self, scenario: Scenario, record: Path | None) -> None:
        self._scenario = scenario
        self._watch = Watch(scenario.limits.events)
        self._tapes = recording(record, scenario, "qemu")(NativeThreads())

    def through(self) -> Callable[[str], AbstractAsyncContextManager[str]]:
        """Puts it there."""
        if self._scenario.order:
            return through_rules(self._scenario, self._watch, self._tapes)
        return through(self._watch, self._tapes)

    def finish(self, folder: Path | None, *, quiet: bool) -> None:
        """Keep what it saw in `folder`, and name what went by.

        Raises:
            MigemuError: what was asked to be recorded or kept is not whole.
        """
        joined = join(self._watch.logs["source"].events(), self._watch.logs["destination"].events())
        if folder is not None:
            save(prepare(folder), self._watch, joined, outcome_of(self._watch, self._scenario, joined))
        for line in () if quiet else self._watch.packets.lines():
            click.echo(line)
        # Under rules the tap ends its recording by itself.
        error = None if self._tapes is None or self._scenario.order else self._tapes.finish()
        if error is not None:
            raise error
