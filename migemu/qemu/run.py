"""``migemu qemu run``: any QEMU command line, with make-believe VFIO devices to bind to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from migemu.qemu import shim
from migemu.qemu.standin import StandIn
from migemu.qemu.translate import Plan
from migemu.scenario import dilated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.scenario import Scenario, Side

MARK: Final = "{vfio}"
"""Stands for the folder of the devices in QEMU's arguments."""


def prepare(scenario: Scenario, launcher: Launcher, side: Side, folder: Path) -> StandIn:
    """Put the scenario's devices, as `side` has them, into `folder`."""
    plan = Plan(dilated(scenario), launcher.version)
    make = plan.source_device if side == "source" else plan.destination_device
    return StandIn(folder, [make(number) for number in range(len(scenario.device))])


def complete(arguments: Sequence[str], standin: StandIn, properties: dict[str, str]) -> list[str]:
    """QEMU's arguments with the devices' folder put in.

    Where they name no VFIO device themselves, one is added for each device there is.
    """
    own = any("vfio-pci" in argument for argument in arguments)
    words = [argument.replace(MARK, str(standin.folder / "devices")) for argument in arguments]
    return words if own else [*words, *standin.arguments(properties)]


def replace_process(launcher: Launcher, arguments: Sequence[str], standin: StandIn) -> None:
    """Become that QEMU: its terminal, exit code and signals are its own.

    Raises:
        UsageError: the shim cannot be built.
    """
    library = shim.build()
    command = launcher.command(arguments, library)
    environment = {**launcher.environment(library), **standin.environment()}
    os.execve(command[0], command, environment)  # noqa: S606  # no shell is wanted, it is the user's command
