"""Options of a side whose other side may be a real QEMU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.cli.sides import SideSession
    from migemu.link.order_follow import Follow
    from migemu.link.order_tape import Tapes
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

F = TypeVar("F", bound="Callable[..., Any]")

_FILE = click.Path(path_type=Path)


def source_options(command: F) -> F:
    """What a destination may be told of its source."""
    for option in (
        click.option(
            "--verify-devices",
            type=_FILE,
            metavar="DIR",
            help="The folder of the source's make-believe VFIO devices: verify what arrives against it.",
        ),
        click.option(
            "--channels",
            type=click.IntRange(0, 255),
            metavar="N",
            help="With --peer qemu: multifd channels to wait for. [default: those that come]",
        ),
        click.option("--ram-block", metavar="ID", help="Which RAM block that is. [default: the largest]"),
        click.option(
            "--verify-ram",
            type=_FILE,
            metavar="FILE",
            help="The QEMU's memory file: compare RAM with it, byte for byte, before all is called well.",
        ),
        click.option(
            "--save",
            type=_FILE,
            metavar="DIR",
            help="Of a QEMU's migration keep RAM, devices, sections and every connection there.",
        ),
        click.option(
            "--peer",
            type=click.Choice(["auto", "qemu"]),
            default="auto",
            show_default=True,
            help="What the source is: found out by its first words, or a QEMU of which nothing is known.",
        ),
    ):
        command = option(command)
    return command


def target_options(command: F) -> F:
    """What a source may be told of its destination."""
    for option in (
        click.option(
            "--verify-ram",
            type=_FILE,
            metavar="FILE",
            help="The QEMU's memory file: compare RAM with it, byte for byte, once it has been sent.",
        ),
        click.option("--no-multifd", is_flag=True, help="The QEMU has multifd off."),
        click.option(
            "--ram-block", metavar="ID", help="The QEMU's RAM block. [default: as its machine calls it]"
        ),
        click.option(
            "--machine-version",
            metavar="N.N",
            help="What decides about the wire, where that name has no version: 7.2 for a QEMU 7.2's none.",
        ),
        click.option(
            "--qemu-machine",
            default="none",
            show_default=True,
            metavar="NAME",
            help="The QEMU's machine type, its whole name: pc-q35-10.0, virt-10.0.",
        ),
        click.option(
            "--peer",
            type=click.Choice(["migemu", "qemu"]),
            default="migemu",
            show_default=True,
            help="What the destination is; the options below are for a QEMU.",
        ),
    ):
        command = option(command)
    return command


def sending_session(
    peer: str,
    *,
    qemu_machine: str,
    machine_version: str | None,
    ram_block: str | None,
    no_multifd: bool,
    verify_ram: Path | None,
) -> Callable[[Scenario, Threads], SideSession]:
    """Makes a source's session.

    Raises:
        UsageError: what is said of the QEMU makes no sense.
    """
    if peer == "migemu":
        from migemu.source.session import Session  # noqa: PLC0415  only the one that is used

        return Session
    from migemu.qemu import drive  # noqa: PLC0415  as above

    target = drive.make_target(qemu_machine, machine_version, ram_block, multifd=not no_multifd)
    return lambda scenario, threads: drive.QemuSession(scenario, threads, target, verify_ram)


def assumed(config: Path | None, peer: str) -> tuple[str, ...]:
    """Overrides of the embedded default: its devices say nothing of a QEMU's."""
    return ("devices=0",) if config is None and peer == "qemu" else ()


def receiving_session(
    tapes: Callable[[Threads], Tapes | None], follow: Callable[[], Follow | None], **wishes: Any
) -> Callable[[Scenario, Threads], SideSession]:
    """Makes a destination's session, which records and keeps to a recorded order where that was asked for."""
    from migemu.qemu.receive import QemuSession, Wishes  # noqa: PLC0415  a source does not need it

    return lambda scenario, threads: QemuSession(
        scenario, threads, Wishes(**wishes), tapes(threads), follow()
    )
