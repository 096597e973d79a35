"""What a QEMU can do, as it says itself over QMP, and whether the shim's devices bind to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import MigemuError
from migemu.qemu import shim
from migemu.qemu.machine import Machine, Setup, running
from migemu.qemu.scratch import scratch
from migemu.qemu.standin import DeviceFile, StandIn, section_id

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.board import Board

KILL_AFTER: Final = 60.0
"""Seconds a QEMU that is only asked questions may live."""

MULTIFD_TRANSFER: Final = "x-migration-multifd-transfer"
AFTER_ITER: Final = "x-migration-load-config-after-iter"
ENABLE: Final = "enable-migration"


@dataclass(frozen=True, slots=True)
class Facts:
    """One QEMU."""

    version: str
    package: str
    """Who built it, if it says so."""
    machines: tuple[str, ...]
    """Versioned machine types of its board (q35, virt), newest first."""
    capabilities: frozenset[str]
    """Migration capabilities."""
    vfio: frozenset[str] | None
    """Properties of its VFIO PCI device; None: it has no such device."""
    binds: str
    """Empty when a make-believe device bound and can be migrated, else what was in the way."""

    @property
    def newest(self) -> str:
        """The newest of those machine types."""
        return self.machines[0] if self.machines else "none"


async def ask(launcher: Launcher) -> Facts:
    """Start the QEMU twice, bare and with a make-believe device, and ask.

    Raises:
        PeerError: it does not start, or does not answer.
    """
    with scratch("doctor") as folder:
        bare = Setup(launcher, ["-M", "none", *_QUIET], folder, "bare", kill_after=KILL_AFTER)
        async with running(bare) as machine:
            version = await machine.execute("query-version")
            machines = await machine.execute("query-machines")
            capabilities = await machine.execute("query-migrate-capabilities")
            vfio = await _properties(machine)
        return Facts(
            version=".".join(str(version["qemu"][part]) for part in ("major", "minor", "micro")),
            package=version["package"],
            machines=_versioned(machines, launcher.board),
            capabilities=frozenset(row["capability"] for row in capabilities),
            vfio=vfio,
            binds=_unable(vfio) or await _bind(launcher, folder),
        )


_QUIET: Final = ("-nodefaults", "-display", "none", "-S")


async def _properties(machine: Machine) -> frozenset[str] | None:
    """Properties of ``vfio-pci``, or None."""
    try:
        rows = await machine.execute("device-list-properties", typename="vfio-pci")
    except MigemuError:
        return None
    return frozenset(row["name"] for row in rows)


def _unable(vfio: frozenset[str] | None) -> str:
    """Why no make-believe device could be migrated, as far as the properties tell."""
    if vfio is None:
        return "it has no vfio-pci device"
    return "" if ENABLE in vfio else f"its vfio-pci has no property {ENABLE}"


def _versioned(machines: list[dict[str, Any]], board: Board) -> tuple[str, ...]:
    pattern = re.compile(re.escape(board.machines) + r"\d+(\.\d+)*")
    names = [row["name"] for row in machines if pattern.fullmatch(row["name"])]
    return tuple(sorted(names, key=_version, reverse=True))


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.rsplit("-", 1)[1].split("."))


async def _bind(launcher: Launcher, folder: Path) -> str:
    """Start it with one make-believe device that must be migratable; the reason if that fails."""
    try:
        library = shim.build()
        standin = StandIn(folder / "vfio", [DeviceFile(section_id(0, 1), state_size=4096)])
        arguments = [
            "-M",
            f"{launcher.board.newest},accel=tcg",
            "-m",
            "16",
            *_QUIET,
            *standin.arguments({ENABLE: "on"}),
        ]
        setup = Setup(
            launcher,
            arguments,
            folder,
            "bound",
            preload=library,
            environment=standin.environment(),
            kill_after=KILL_AFTER,
        )
        async with running(setup) as machine:
            blocked = (await machine.execute("query-migrate")).get("blocked-reasons", [])
    except MigemuError as error:
        return error.message
    return "; ".join(blocked)
