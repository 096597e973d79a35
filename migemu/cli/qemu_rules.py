"""``migemu qemu rules``: scenarios' order rules, played to real QEMUs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migemu.cli.options import SET
from migemu.errors import UsageError
from migemu.qemu import binary, rules_play
from migemu.qemu.hostile.report import Played, markdown
from migemu.qemu.hostile.table import Bench, Row
from migemu.qemu.scratch import scratch
from migemu.scenario import load

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher
    from migemu.qemu.hostile.verdict import Verdict
    from migemu.scenario import Scenario


@click.command("rules", short_help="Play order rules to a real QEMU.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option(
    "--qemu",
    "programs",
    multiple=True,
    envvar="MIGEMU_QEMU",
    metavar="PATH",
    help="A QEMU program, or a folder one was unpacked into; repeatable. [default: all there are]",
)
@click.option("--between", is_flag=True, help="Two such QEMUs and a tap, instead of our source and one.")
@click.option(
    "--times", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="How often each."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a table at the end, as on the page.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line.")
@SET
def rules(
    files: tuple[Path, ...],
    programs: tuple[str, ...],
    between: bool,  # noqa: FBT001  click's
    times: int,
    as_markdown: bool,  # noqa: FBT001  click's
    as_json: bool,  # noqa: FBT001  click's
    overrides: tuple[str, ...],
) -> None:
    """Play the order rules of scenarios to a real QEMU destination each, and say what it did.

    The source is ours (`migemu source --peer qemu`), or with --between a QEMU as well. Each QEMU is a process
    of its own under a kill timer: several orders hang it for good. The exit code is 0 whatever a QEMU did.
    """
    scenarios = {file: load(file, overrides=overrides) for file in files}
    for file, scenario in scenarios.items():
        if not scenario.order:
            raise UsageError(f"{file} has no order rules")
    launchers = [binary.find(program) for program in programs] or binary.find_all() or [binary.find()]
    played = []
    for file, scenario in scenarios.items():
        for launcher in launchers:
            one = _play(file, scenario, launcher, times, between=between)
            click.echo(json.dumps(one.plain()) if as_json else one.line())
            played.append(one)
    if as_markdown:
        click.echo(markdown(played))


def _play(file: Path, scenario: Scenario, launcher: Launcher, times: int, *, between: bool) -> Played:
    fits = rules_play.fits(scenario, launcher)
    verdicts = [_once(scenario, launcher, between=between) for _ in range(times if fits else 0)]
    row = Row(file.stem, _title(file), Bench(), None)
    return Played(row, launcher.version_text, tuple(verdicts))


def _once(scenario: Scenario, launcher: Launcher, *, between: bool) -> Verdict:
    with scratch("rules") as folder:
        how = rules_play.between if between else rules_play.to_destination
        return asyncio.run(how(scenario, launcher, folder))


def _title(file: Path) -> str:
    """The comment that a scenario file begins with, one line of it."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
