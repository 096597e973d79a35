"""``migemu qemu``: a real QEMU as peer."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console

from migemu.cli.captures import RECORD
from migemu.cli.options import SET, scenario_options
from migemu.cli.qemu_rows import rows
from migemu.cli.qemu_rules import rules
from migemu.cli.real import cancellable
from migemu.cli.tap import Tapped
from migemu.errors import UsageError
from migemu.observe.live import json_lines
from migemu.observe.recorder import prepare, save
from migemu.observe.summary import print_summary
from migemu.qemu import binary, doctor, pair
from migemu.qemu import run as runner
from migemu.qemu.scratch import check_room, scratch
from migemu.qemu.translate import Plan
from migemu.scenario import load
from migemu.scenario.units import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.qemu.pair import Outcome

QEMU = click.option(
    "--qemu",
    "program",
    envvar="MIGEMU_QEMU",
    metavar="PATH",
    help="The QEMU program, or a folder one was unpacked into. [default: on PATH, then in the cache]",
)


@click.group()
def qemu() -> None:
    """Use a real QEMU: find it, start it with VFIO devices that need no hardware, migrate."""


qemu.add_command(rows)
qemu.add_command(rules)


@qemu.command("doctor", short_help="Say which QEMUs are here and what works.")
@QEMU
def doctor_(program: str | None) -> None:
    """Say which QEMUs are here and what works with each; the exit code is 0 if any is."""
    launchers = [binary.find(program)] if program else binary.find_every()
    for launcher in launchers:
        report = asyncio.run(doctor.examine(launcher))
        click.echo(report.title)
        for finding in report.findings:
            click.echo(finding.line())
    click.echo("This machine")
    for finding in doctor.surroundings():
        click.echo(finding.line())
    if not launchers:
        click.echo("no QEMU found: install qemu-system-x86, or run tests/qemu/get-qemu.sh")
        raise SystemExit(1)


@qemu.command(
    "run", short_help="Become a QEMU with such devices.", context_settings={"ignore_unknown_options": True}
)
@QEMU
@SET
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), help="The scenario whose devices there are."
)
@click.option(
    "--as",
    "side",
    type=click.Choice(["source", "destination"]),
    default="source",
    show_default=True,
    help="Whose devices: the source's give their state, the destination's take it.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default="vfio",
    show_default=True,
    help="Where the devices and their log are put.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run_(
    program: str | None,
    overrides: tuple[str, ...],
    config: Path | None,
    side: Literal["source", "destination"],
    folder: Path,
    arguments: tuple[str, ...],
) -> None:
    """Become a QEMU with ARGUMENTS in which `-device vfio-pci,sysfsdev={vfio}/device0` binds.

    {vfio} stands for the folder of the devices, made from the scenario under --dir, where events.jsonl tells
    what they did. Arguments that name no vfio-pci get all of the scenario's devices.
    """
    scenario = load(config, overrides=overrides, side=side)
    launcher = binary.find(program, binary.VFIO_MULTIFD)
    standin = runner.prepare(scenario, launcher, side, folder)
    properties = Plan(scenario, launcher.version).properties()
    runner.replace_process(launcher, runner.complete(arguments, standin, properties), standin)


@qemu.command("migrate", short_help="Migrate CONFIG between two real QEMUs.")
@QEMU
@click.option("--to-qemu", metavar="PATH", help="Another QEMU for the destination.")
@click.option("--no-multifd", is_flag=True, help="Everything over the main channel.")
@click.option(
    "--limit", metavar="TIME", default="120 s", show_default=True, help="How long the migration may take."
)
@click.option(
    "--shim",
    "further",
    multiple=True,
    metavar="SIDE.N.KEY=VALUE",
    help="Set a key of device N's model.ini (docs/qemu-devices.md): source.0.read_error_at=0; repeatable.",
)
@click.option("--tap", is_flag=True, help="Through a tap, whose own events and report go to OUT/tap.")
@RECORD
@scenario_options
def migrate_(
    program: str | None,
    to_qemu: str | None,
    no_multifd: bool,  # noqa: FBT001  click's
    limit: str,
    further: tuple[str, ...],
    tap: bool,  # noqa: FBT001  click's
    record: Path | None,
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,  # noqa: FBT001  click's
) -> None:
    """Migrate CONFIG between two real QEMUs with make-believe VFIO devices, and verify every byte.

    Order rules of CONFIG act, and --record sees, through a tap.
    """
    scenario = load(config, overrides=overrides)  # whether its design can run is QEMU's to say
    tapped = Tapped(scenario, record) if tap or record or scenario.order else None
    needed = binary.VFIO_MULTIFD if scenario.device else (0,)
    source = binary.find(program, needed)
    destination = binary.find(to_qemu, needed) if to_qemu else source
    options = pair.PairOptions(
        source,
        destination,
        multifd=not no_multifd,
        limit=parse_time(limit),
        further=_by_device(further, len(scenario.device)),
        through=None if tapped is None else tapped.through(),
    )
    with _folder(out) as folder:
        outcome = asyncio.run(cancellable(pair.migrate(scenario, folder, options)))
        if out is not None:
            save(folder, scenario, outcome.events, outcome.result)
        if tapped is not None:
            tapped.finish(None if out is None else folder / "tap", quiet=as_json)
    _show(outcome, as_json=as_json)
    if outcome.result.exit_code:
        raise SystemExit(outcome.result.exit_code)


def _by_device(settings: tuple[str, ...], devices: int) -> dict[str, dict[int, list[str]]]:
    """--shim's settings as lines of model.ini, by side and device number.

    Raises:
        UsageError: one is not of that form, or names a device there is not.
    """
    lines: dict[str, dict[int, list[str]]] = {"source": {}, "destination": {}}
    for setting in settings:
        side, _, rest = setting.partition(".")
        number, _, line = rest.partition(".")
        if side not in lines or not number.isdigit() or "=" not in line:
            raise UsageError(f"--shim {setting}: not SIDE.N.KEY=VALUE, for example source.0.read_error_at=0")
        if int(number) >= devices:
            raise UsageError(f"--shim {setting}: there are {devices} devices, the first is 0")
        lines[side].setdefault(int(number), []).append(line)
    return lines


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Where a run's logs go: `out`, or a folder that is gone afterwards."""
    if out is not None:
        folder = prepare(out)
        check_room(folder)
        yield folder
        return
    with scratch("qemu") as folder:
        yield folder


def _show(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        tell = json_lines(sys.stdout)
        for event in outcome.events:
            tell(event)
        return
    print_summary(outcome.result, Console(highlight=False))
    for note in outcome.notes:
        click.echo(f"note: {note}")
