"""``migemu qemu doctor``: which QEMUs are here, and what works with each."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from migemu.errors import MigemuError
from migemu.qemu import facts, shim
from migemu.qemu.binary import VFIO_MULTIFD, default_folder
from migemu.qemu.translate import AFTER_ITER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.qemu.binary import Launcher, Version
    from migemu.qemu.facts import Facts


class Finding(NamedTuple):
    """One line of the doctor's report."""

    ok: bool
    what: str
    detail: str = ""

    def line(self) -> str:
        """For people."""
        return f"  {'yes' if self.ok else 'no ':3} {self.what}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found about one QEMU."""

    launcher: Launcher
    facts: Facts | None
    findings: tuple[Finding, ...]

    @property
    def title(self) -> str:
        """Which QEMU this is about."""
        how = "started by its own loader" if self.launcher.loader else "as installed"
        package = f" ({self.facts.package})" if self.facts and self.facts.package else ""
        return f"QEMU {self.launcher.version_text}{package}, {self.launcher.program}, {how}"

    def works(self, what: str) -> bool:
        """Whether the finding called `what` is a yes."""
        return any(finding.ok for finding in self.findings if finding.what == what)


RAM = "RAM migration, as source and as destination"
MULTIFD = "multifd channels"
DEVICES = "make-believe VFIO devices"
DEVICE_STATE = "VFIO device state over multifd"
LOAD_READY = "hand-off load-ready (config held until the platform is in)"
ACK = "switchover-ack"
TRACE = "downtime parts from its trace points"


async def examine(launcher: Launcher) -> Report:
    """Ask one QEMU and try a device on it."""
    try:
        known = await facts.ask(launcher)
    except MigemuError as error:
        return Report(launcher, None, (Finding(ok=False, what=RAM, detail=error.message),))
    return Report(launcher, known, tuple(_findings(launcher, known)))


def _findings(launcher: Launcher, known: Facts) -> Iterator[Finding]:
    yield Finding(bool(known.machines), RAM, f"newest machine type {known.newest}")
    yield Finding("multifd" in known.capabilities, MULTIFD)
    yield Finding("switchover-ack" in known.capabilities, ACK)
    yield Finding(not known.binds, DEVICES, known.binds)
    properties = known.vfio or frozenset()
    transfer = facts.MULTIFD_TRANSFER in properties and not known.binds
    yield Finding(transfer, DEVICE_STATE, "" if transfer else _needs(launcher, VFIO_MULTIFD))
    held = facts.AFTER_ITER in properties and transfer
    yield Finding(held, LOAD_READY, "" if held else _needs(launcher, AFTER_ITER))
    yield Finding(launcher.version >= (8, 1), TRACE)


def _needs(launcher: Launcher, version: Version) -> str:
    """What a QEMU lacks that such a version has, or would have with devices."""
    newer = f"needs QEMU {'.'.join(map(str, version))} or newer"
    return newer if launcher.version < version else "needs such devices"


def surroundings() -> tuple[Finding, ...]:
    """What else on the machine matters."""
    folder = default_folder()
    return (
        _compiler(),
        Finding(
            shutil.which("setpriv") is not None,
            "QEMUs end with migemu even when it is killed",
            "by setpriv of util-linux",
        ),
        Finding((folder / ".complete").exists(), "a QEMU of tests/qemu/get-qemu.sh", str(folder)),
    )


def _compiler() -> Finding:
    try:
        return Finding(ok=True, what="the VFIO shim builds", detail=str(shim.build()))
    except MigemuError as error:
        return Finding(ok=False, what="the VFIO shim builds", detail=error.message)
