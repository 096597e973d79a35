"""``migemu replay``: a recorded migration once more, without its source."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import uvloop
from rich.console import Console

from migemu.cli.address import parse_target
from migemu.cli.replay_token import is_token, replay_token
from migemu.cli.replayed import Destination
from migemu.errors import MigemuError, ScheduleError, UsageError
from migemu.lab.capture import Capture
from migemu.lab.replay import Player
from migemu.lab.replay_check import recorded_digests, told
from migemu.link.order_arm import arm
from migemu.observe.events import EventLog
from migemu.observe.live import json_lines, live_view
from migemu.qemu.rules import for_source
from migemu.scenario import default, load
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.lab.replay import Played
    from migemu.link.order import Orders
    from migemu.observe.events import Event
    from migemu.scenario import Scenario


@click.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option(
    "--connect", metavar="HOST:PORT", help="A destination that listens there. [default: one of its own]"
)
@click.option(
    "--speed",
    type=click.Choice(["full", "recorded"]),
    default="full",
    show_default=True,
    help="As fast as the destination takes it, or at the times of the recording.",
)
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A scenario whose [[order]] rules act on what is sent, those for what arrives too.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="For a destination of its own: set a value over the recorded scenario; repeatable.",
)
@click.option(
    "--scenario",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For a TOKEN: the scenario it was made with, unless that was the stock one or a bug's.",
)
@click.option("--real", is_flag=True, help="For a TOKEN: two real processes over real sockets.")
@click.option(
    "--times",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="With --real: how often.",
)
@click.option(
    "--as-rules", is_flag=True, help="For a TOKEN: print its order as a scenario with [[order]] rules."
)
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON Lines instead of a view.")
def replay(
    capture: Path,
    connect: str | None,
    speed: str,
    rules: Path | None,
    overrides: tuple[str, ...],
    scenario: Path | None,
    real: bool,  # noqa: FBT001  click's
    times: int,
    as_rules: bool,  # noqa: FBT001  click's
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Play the migration recorded in CAPTURE into a destination: the same bytes in the same packet order.

    CAPTURE is what --record made, or the connections' files of a real QEMU. The destination verifies as it
    did then. One of its own also takes the packets in the recorded order, whatever the sockets do.

    In the place of CAPTURE stands a TOKEN that `migemu explore` or `migemu bugs` printed: that very schedule,
    step by step.
    """
    if is_token(capture):
        if connect is not None or rules is not None or speed != "full":
            raise UsageError("--connect, --rules and --speed are for a CAPTURE; this is a TOKEN")
        replay_token(
            str(capture), scenario, overrides, real=real, as_rules=as_rules, times=times, as_json=as_json
        )
        return
    if real or as_rules or scenario is not None:
        raise UsageError("--real, --as-rules and --scenario are for a TOKEN; this is a CAPTURE")
    found = Capture(capture)
    if connect is not None and overrides:
        raise UsageError("--set is for a destination of the replay's own; leave --connect out")
    played = load(rules) if rules is not None else found.scenario() or default()
    armed = for_source(played.order, platform="") if rules is not None else ()
    run = Run(found, played.model_copy(update={"order": armed}), paced=speed == "recorded")
    if as_json:
        run.show(json_lines(sys.stdout), connect, overrides)
    else:
        with live_view(Console(highlight=False), f"replay {capture.name}") as view:
            run.show(view, connect, overrides)
    _tell(run, as_json=as_json)


def _tell(run: Run, *, as_json: bool) -> None:
    """What came of it; a failure ends the program."""
    said = told(run.played, recorded_digests(run.capture))
    if as_json:
        click.echo(json.dumps({"replay": said.plain(), "ok": run.error is None and said.same is not False}))
    else:
        for line in said.lines():
            click.echo(line)
    if run.error is not None:
        raise run.error
    if said.same is False:
        raise ScheduleError("the destination did not load what it loaded when this was recorded")


class Run:
    """One replay from the command line.

    Args:
        capture: what is played.
        scenario: its time limits hold; its rules are those of the stream out.
        paced: at recorded speed.
    """

    def __init__(self, capture: Capture, scenario: Scenario, *, paced: bool) -> None:
        self.capture = capture
        self.played: Played | None = None
        self.error: MigemuError | None = None
        self._scenario = scenario
        self._paced = paced
        self._subscriber: Callable[[Event], None] | None = None

    def show(
        self, subscriber: Callable[[Event], None], connect: str | None, overrides: tuple[str, ...]
    ) -> None:
        """Play while events are shown."""
        uvloop.run(self._run(subscriber, connect, overrides))

    async def _run(
        self, subscriber: Callable[[Event], None], connect: str | None, overrides: tuple[str, ...]
    ) -> None:
        self._subscriber = subscriber
        if connect is not None:
            await self._play(*parse_target(connect))
            return
        with tempfile.TemporaryDirectory(prefix="migemu-") as scratch:
            destination = Destination(self.capture, Path(scratch), overrides, subscriber)
            try:
                address = await destination.listening()
                if address is not None:
                    await self._play(*address)
            finally:
                failed = await destination.finish(patient=self.error is None)
        self.error = failed or self.error

    async def _play(self, host: str, port: int) -> None:
        orders = self._orders(asyncio.get_running_loop())
        with ExitStack() as stack:
            sleep = asyncio.sleep if self._paced else None
            player = Player(self.capture, orders, self._scenario.timeouts.phase, stack, sleep)
            try:
                await player.run(host, port)
            except MigemuError as error:
                self.error = error
            self.played = player.played
        short = orders.finish()
        self.error = self.error or short

    def _orders(self, loop: asyncio.AbstractEventLoop) -> Orders:
        def broken(error: MigemuError) -> None:
            self.error = error

        log = EventLog("source", subscriber=self._subscriber)  # in its place
        return arm(self._scenario.order, self._scenario, NativeThreads(log.sink), loop, broken)[0]
