"""What a scripted source must know of its destination: names, sizes, and which words its version has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from migemu.handoff.machine_types import machine_type
from migemu.qemu.drive import pci_config, shim_config
from migemu.qemu.standin import section_id

if TYPE_CHECKING:
    from migemu.qemu.binary import Version

CHANNELS: Final = 4
"""Multifd channels of every script."""

RAM_BYTES: Final = 16 << 20
"""Of a QEMU's RAM block; a script sends the first pages of it."""

SWITCHOVER_MARK: Final = (10, 0)
"""The first version that knows SWITCHOVER_START, and VFIO device state over multifd."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A destination, as its source sees it."""

    machine: str
    """Its machine type's whole name."""
    block: str
    """Its RAM block."""
    ram_bytes: int
    uuid: bytes = bytes(16)
    devices: tuple[str, ...] = ()
    """Section ids of its VFIO devices."""
    config: bytes = b""
    """The config state each of them takes, without its marks."""
    flush: bool = True
    """Whether MULTIFD_FLUSH is the barrier's word; else EOS is."""
    mark: bool = True
    """Whether SWITCHOVER_START is known."""
    ready: bool = False
    """Whether a device's last section is CONFIG_LOAD_READY; else END_OF_STATE."""
    late: float = 0.3
    """Seconds something comes late where a row says so: less than its patience, if it has any."""
    patience: float = 10.0
    """Seconds the script waits for the destination's words."""


def shape_of(version: Version, devices: int = 0, *, ready: bool = False) -> Shape:
    """A QEMU of that version: ``-M none``, or a q35 with make-believe VFIO devices.

    Args:
        version: the QEMU's.
        devices: how many.
        ready: whether the devices wait for CONFIG_LOAD_READY.
    """
    known = machine_type("none" if version >= (8, 1) else "7.2")
    mark = version >= SWITCHOVER_MARK
    bare = Shape("none", "ram0", RAM_BYTES, flush=known.flush_word, mark=mark, late=1.0, patience=2.0)
    if not devices:
        return bare
    names = tuple(section_id(number, devices) for number in range(devices))
    pc = replace(bare, machine="pc-q35-10.0", block="pc.ram")
    return replace(pc, devices=names, config=pci_config(shim_config()), ready=ready)
