"""``migemu qemu rows``: the hostile-order table, played to real QEMUs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from migemu.errors import UsageError
from migemu.qemu import binary, hostile
from migemu.qemu.hostile.playing import play
from migemu.qemu.hostile.report import Played, markdown

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher
    from migemu.qemu.hostile import Row


@click.command("rows", short_help="Play hostile orders to a real QEMU.")
@click.argument("names", nargs=-1, metavar="[ROW...]")
@click.option(
    "--qemu",
    "programs",
    multiple=True,
    envvar="MIGEMU_QEMU",
    metavar="PATH",
    help="A QEMU program, or a folder one was unpacked into; repeatable. [default: all there are]",
)
@click.option(
    "--times", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="How often each."
)
@click.option("--list", "listing", is_flag=True, help="Say which rows there are.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table at the end, as on the page.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line.")
def rows(
    names: tuple[str, ...],
    programs: tuple[str, ...],
    times: int,
    listing: bool,  # noqa: FBT001  click's
    as_markdown: bool,  # noqa: FBT001  click's
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Play rows of the hostile-order table to real QEMU destinations and say what each did.

    ROW is a name (C7) or a family (K); without one all are played. Every destination is a process of its own
    under a kill timer: several rows hang it for good. The exit code is 0 whatever a QEMU did.
    """
    chosen = hostile.select(names)
    if listing:
        for one in chosen:
            click.echo(f"{one.name:<5} {one.title}")
        return
    launchers = [binary.find(program) for program in programs] or binary.find_every() or [binary.find()]
    pairs = [(one, launcher) for one in chosen for launcher in launchers if _is_for(one, launcher)]
    if not pairs:
        wanted = " or ".join(sorted({one.bench.target for one in chosen}))
        raise UsageError(f"none of these rows is for the QEMUs there are: they are for {wanted}")
    played = [_play(one, launcher, times, as_json=as_json) for one, launcher in pairs]
    if as_markdown:
        click.echo(markdown(played))


def _is_for(one: Row, launcher: Launcher) -> bool:
    return one.bench.target == launcher.board.target


def _play(one: Row, launcher: Launcher, times: int, *, as_json: bool) -> Played:
    """Play it and say so, unless it says nothing to this QEMU."""
    fits = one.bench.suits(launcher)
    verdicts = [asyncio.run(play(one, launcher)) for _ in range(times if fits else 0)]
    played = Played(one, launcher.version_text, tuple(verdicts))
    click.echo(json.dumps(played.plain()) if as_json else played.line())
    return played
