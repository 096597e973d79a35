"""``--with-qemu``: real QEMUs that take part in a comparison, and what migrates between two of one kind."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from migemu.cli.place import Places
from migemu.errors import CancelledMigrationError, UsageError
from migemu.lab.compare_qemu import Real
from migemu.lab.runner import Measured
from migemu.qemu import binary, pair
from migemu.qemu.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from migemu.cli.measuring import Wishes
    from migemu.qemu.binary import Launcher
    from migemu.qemu.pair import Outcome
    from migemu.scenario import Scenario

LIMIT: Final = 120.0
"""Seconds one migration between two QEMUs may take, at full speed."""

WITH_QEMU = click.option(
    "--with-qemu",
    "programs",
    is_flag=False,
    flag_value="",
    multiple=True,
    metavar="[PATH]",
    help="A real QEMU beside our designs, multifd on and off, on the same scenario: a program or the folder "
    "one was unpacked into. Repeatable; without PATH the one on PATH or in the cache. CONFIG goes before it.",
)


@dataclass(frozen=True)
class QemuRunner:
    """Migrates between two processes of one QEMU, with make-believe devices."""

    launcher: Launcher

    def __call__(self, scenario: Scenario) -> Measured:
        """Run `scenario` once; what the processes leave behind goes into a folder that is gone afterwards.

        Raises:
            CancelledMigrationError: a person ended it.
            UsageError: QEMU cannot be asked this.
        """
        options = pair.PairOptions(self.launcher, self.launcher, limit=LIMIT * scenario.dilation)
        with scratch("qemu") as folder:
            outcome = asyncio.run(cancellable(pair.migrate(scenario, folder, options)))
        return Measured(outcome.result, outcome.events)


async def cancellable(migration: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Let Ctrl-C and SIGTERM end the processes in good order.

    Raises:
        CancelledMigrationError: one of them came.
    """
    task = asyncio.ensure_future(migration)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise CancelledMigrationError("interrupted; both QEMUs were ended") from None


def reals(programs: tuple[str, ...], wishes: Wishes) -> list[Real]:
    """The QEMUs that were asked for.

    Raises:
        UsageError: one is not there or too old, or it cannot be asked for here.
    """
    if not programs:
        return []
    if wishes.virtual:
        raise UsageError("--with-qemu does not go with --virtual: a real QEMU knows only real time")
    context = click.get_current_context(silent=True)
    if context is not None and context.find_object(Places) is not None:  # type: ignore[type-abstract]  # as in cli/place.py
        raise UsageError("--with-qemu is for loopback: its two QEMUs would not stand where the others do")
    found = (find(program) for program in programs)
    return [Real(launcher, QemuRunner(launcher)) for launcher in found]


def find(program: str) -> Launcher:
    """A QEMU with VFIO device state over multifd.

    Raises:
        UsageError: there is none, with what to do about it.
    """
    named = program or os.environ.get("MIGEMU_QEMU")
    if program.endswith(".toml"):
        raise UsageError(
            f"--with-qemu {program}: that is a scenario and no QEMU; write it before, "
            f"`compare {program} --with-qemu`"
        )
    return binary.find(named or None, binary.VFIO_MULTIFD)
