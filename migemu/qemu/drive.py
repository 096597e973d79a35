"""A source whose destination is a real QEMU: everything it is sent is made here.

A real destination takes sections for what they are: it asks for none that are missing and checks only what
comes. So a stream of RAM, barriers, VFIO devices and EOF is a whole migration, for a machine without devices
(``-M none``) and for one with any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from migemu.errors import ConfigError, InvariantError, MigemuError, UsageError
from migemu.handoff.machine_types import machine_type
from migemu.qemu import rules
from migemu.qemu.board import board_of_machine
from migemu.qemu.drive_stream import QemuRamSender, QemuStream, Target
from migemu.qemu.receive_check import check_ram
from migemu.qemu.receive_devices import check_usable
from migemu.ram.guest import Block
from migemu.source.build import Guest, read_file
from migemu.source.migration import Migration
from migemu.source.session import Session
from migemu.wire.vfio import PciConfigState, encode_config_state, unwrap_config

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.ram import GuestRam
    from migemu.scenario import Device, Scenario
    from migemu.source.migration import Parts
    from migemu.threads.api import Threads
    from migemu.vfio.model import DeviceModel

NO_UUID: Final = UUID(int=0)
"""Of a QEMU that was given none; its multifd channels must say the same."""

OLDEST: Final = (9, 1)
"""The oldest machine type a scenario can name; older ones have no other hand-off either."""

SHIM_VENDOR, SHIM_DEVICE, SHIM_CLASS = 0x1B36, 0x6D67, 0x12
"""What the PCI config space of a make-believe device says (docs/qemu-devices.md)."""

PCI_CONFIG: Final = 256
PCI_STATE: Final = 276
"""Bytes of a config space, and of QEMU's state of it without MSI-X."""


def make_target(machine: str, version: str | None, block: str | None, *, multifd: bool) -> Target:
    """The destination, from what a person says of it.

    Args:
        machine: its machine type's whole name, ``none`` or ``pc-q35-10.0``.
        version: the version that decides about the wire, where the name has none.
        block: its RAM block; None: ``ram0`` of ``none``, else as the machine itself calls it.
        multifd: whether that is on there.

    Raises:
        UsageError: the version is none.
    """
    if version is not None and not re.fullmatch(r"\d+\.\d+", version):
        raise UsageError(f"machine version {version!r} is not of the form 7.2")
    board = board_of_machine(machine)
    named = block or ("ram0" if machine == "none" else board.block)
    return Target(machine, named, machine_type(version or machine), multifd, board.page_bits)


def for_target(scenario: Scenario, target: Target) -> Scenario:
    """The scenario as the rest of a source is to see it.

    Raises:
        UsageError: its hand-off is not one that a QEMU has, or an order rule is not for a source.
    """
    version = min(max(target.version.version, OLDEST), machine_type(scenario.machine).version)
    changes: dict[str, Any] = {"machine": "{}.{}".format(*version), "uuid": scenario.uuid or NO_UUID}
    changes["order"] = rules.for_source(scenario.order)
    changes["platform"] = scenario.platform.model_copy(update={"needs_interrupt_controller": False})
    if not target.multifd:
        migration = scenario.migration.model_copy(update={"channels": 0})
        changes |= {"migration": migration, "handoff": "main-channel"}
    changed = scenario.model_copy(update=changes)
    check_usable(changed.handoff)
    return changed


def pci_config(content: bytes) -> bytes:
    """A config state in QEMU's form, without its marks, of whichever part of it there is.

    Args:
        content: a config space of 256 bytes, QEMU's state of one, or that with its marks.

    Raises:
        ConfigError: it is none of them.
    """
    if len(content) == PCI_CONFIG:
        return unwrap_config(encode_config_state(PciConfigState(content)))
    if len(content) >= PCI_STATE and content[:4] == (2).to_bytes(4):
        return content
    if len(content) > PCI_STATE and content[:4] == b"\xff" * 4:
        return unwrap_config(content)
    raise ConfigError(
        f"{len(content)} bytes are no PCI config state: give 256 of config space, or QEMU's own"
    )


def shim_config() -> bytes:
    """The config space of a make-believe device."""
    space = bytearray(PCI_CONFIG)
    space[0:4] = SHIM_VENDOR.to_bytes(2, "little") + SHIM_DEVICE.to_bytes(2, "little")
    space[11] = SHIM_CLASS
    return bytes(space)


class QemuGuest(Guest):
    """A VM whose state a QEMU can take: its RAM block has a QEMU's name, its devices' configs are PCI's."""

    sender_kind = QemuRamSender

    def __init__(self, scenario: Scenario, threads: Threads, target: Target) -> None:
        self._target = target
        super().__init__(scenario, threads)

    def _make_ram(self, scenario: Scenario) -> GuestRam:
        ram = super()._make_ram(scenario)
        ram.blocks = (Block(self._target.block, 0, len(ram.pages)),)
        return ram

    def _config_of(self, device: Device, model: DeviceModel) -> bytes:
        return pci_config(shim_config() if device.config is None else read_file(device.config, model.name))


class QemuSession(Session):
    """A source that migrates once, to a QEMU.

    Args:
        scenario: already dilated.
        threads: the concurrency seam.
        target: the destination.
        verify_ram: its memory file, compared at the end.

    Raises:
        UsageError: the scenario's hand-off is not one that a QEMU has.
    """

    def __init__(
        self, scenario: Scenario, threads: Threads, target: Target, verify_ram: Path | None = None
    ) -> None:
        self._target = target
        self._verify_ram = verify_ram
        super().__init__(for_target(scenario, target), threads)

    @property
    def shut(self) -> int | None:
        """What the destination said on the return path at the end; None: nothing."""
        return self._parts.returns.shut

    def _make_guest(self, scenario: Scenario, threads: Threads) -> Guest:
        return QemuGuest(scenario, threads, self._target)

    def _assemble(self) -> Parts:
        parts = super()._assemble()
        parts.extended = False
        parts.stream = stream = QemuStream(parts.main, self._target)
        if isinstance(parts.ram, QemuRamSender):
            parts.ram.stream, parts.ram.target = stream, self._target
        return parts

    def _lost_main(self, error: MigemuError) -> None:
        """Without a way back its end is the only word of a destination that is done, or failed."""
        if self._scenario.migration.return_path:
            super()._lost_main(error)
        else:
            self._parts.returns.end(error)
            self._lost_channel(error)

    def _migrate(self) -> None:
        Migration(self._parts).run()
        if self.abort.error is None and self._verify_ram is not None:
            self._compare(self._verify_ram)
        self._finished = self.abort.error is None
        self._loop.call_soon_threadsafe(self._ended)

    def _compare(self, file: Path) -> None:
        """The destination's memory is what was sent; its VM must not have changed it since."""
        returns = self._parts.returns
        try:
            if not self._scenario.migration.return_path:
                returns.wait(lambda: returns.lost is not None, "the destination to close the main channel")
            verdict = check_ram(self.guest.ram, file)
        except MigemuError as error:
            self.abort.set(error)
            return
        self._threads.point("verify", what=verdict.what, ok=verdict.ok, detail=verdict.detail)
        if not verdict.ok:
            told = f"the destination's RAM is not what was sent: {verdict.detail}"
            self.abort.set(InvariantError(told, invariant="data-intact", side="source"))
