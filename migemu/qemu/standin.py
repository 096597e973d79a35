"""The folder that tells the preloaded shim which make-believe VFIO devices there are, and what they did.

One folder a QEMU process (``MIGEMU_VFIO_DIR``): ``devices/NAME/model.ini`` says what a device is like,
``devices/NAME`` is what ``-device vfio-pci,sysfsdev=`` names, ``events.jsonl`` is what happened. The keys of
model.ini are the fields of :class:`DeviceFile`; shim/model.c reads them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import ConfigError, DeviceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from migemu.vfio.states import State

VARIABLE: Final = "MIGEMU_VFIO_DIR"
"""The environment variable that names the folder."""

FIRST_SLOT: Final = 1
"""q35 has its host bridge in slot 0 ..."""

LAST_SLOT: Final = 30
"""... and its ISA bridge in slot 31."""

MAX_DEVICES: Final = (LAST_SLOT - FIRST_SLOT + 1) * 8
"""Eight functions a slot, where there are more devices than slots."""


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """One device, in the shim's own units: bytes, bytes a second, nanoseconds, errno numbers.

    None leaves a key out, which means no limit, no delay, no fault.
    """

    section: str
    """Its QEMU section id: what events call it."""
    state_size: int
    """Bytes of stop-copy data."""
    state_file: Path | None = None
    """File with those bytes; None: generated from the seed (shim/content.c says how)."""
    keep_file: Path | None = None
    """File for the bytes loaded into the device."""
    precopy: bool = False
    p2p: bool = True
    initial_size: int = 0
    """Pre-copy bytes to read first."""
    precopy_size: int = 0
    """Further pre-copy bytes, and the most that are dirty at a time."""
    precopy_dirty_rate: int = 0
    read_rate: int | None = None
    write_rate: int | None = None
    config_load_ns: int = 0
    reset_ns: int = 0
    enter_ns: Mapping[State, int] = field(default_factory=dict)
    """Time to enter a state."""
    fail: Mapping[State, int] = field(default_factory=dict)
    """errno with which entering a state is refused."""
    fail_to_error: bool = False
    """Whether such a refusal leaves the device in ERROR; else where it was."""
    read_size: int | None = None
    """The most that one read gives, hence one packet of QEMU's."""
    read_partial: bool = False
    write_partial: bool = False
    read_error_at: int | None = None
    write_error_at: int | None = None
    read_stall_at: int | None = None
    write_stall_at: int | None = None
    stall_ns: int = 0
    seed: int = 0
    vendor_id: int | None = None
    device_id: int | None = None
    dma_dirty_pages: int = 0
    """Pages at the start of each RAM range that the device says it wrote by DMA, each time it is asked."""

    def text(self) -> str:
        """model.ini."""
        lines = []
        for name in (one.name for one in fields(self)):
            value = getattr(self, name)
            if name in ("enter_ns", "fail"):
                lines += [f"{name}.{state} = {number}" for state, number in value.items()]
            elif value is not None:
                lines.append(f"{name} = {int(value) if isinstance(value, bool) else value}")
        return "".join(f"{line}\n" for line in lines)


def pci_address(index: int, count: int) -> str:
    """Where device number `index` of `count` sits on the root bus: ``SLOT.FUNCTION`` in hex.

    One slot a device while there are enough, then eight functions a slot.
    """
    if count <= LAST_SLOT - FIRST_SLOT + 1:
        return f"{FIRST_SLOT + index:02x}.0"
    return f"{FIRST_SLOT + index // 8:02x}.{index % 8}"


def section_id(index: int, count: int) -> str:
    """The section id QEMU gives to that device."""
    return f"0000:00:{pci_address(index, count)}/vfio"


class StandIn:
    """One process's folder.

    Args:
        folder: made if it is not there; its path must not hold a comma, QEMU's option separator.
        devices: what is in it, in slot order.
        further: lines to add to a device's model.ini, by its number; for what a scenario has no word for. The
            shim refuses a device with a line it does not know.

    Raises:
        ConfigError: more devices than fit on the bus, or a path QEMU's options cannot say.
        UsageError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, devices: Sequence[DeviceFile], further: Mapping[int, Sequence[str]] | None = None
    ) -> None:
        if len(devices) > MAX_DEVICES:
            raise ConfigError(f"{len(devices)} devices do not fit on QEMU's root bus: at most {MAX_DEVICES}")
        self.folder = folder.absolute()
        self.devices = tuple(devices)
        if "," in str(self.folder):
            raise ConfigError(f"the folder's path may hold no comma: {self.folder}")
        try:
            for number, device in enumerate(devices):
                self._write(number, device, (further or {}).get(number, ()))
        except OSError as error:
            raise UsageError(f"cannot put devices into {self.folder}: {error.strerror}") from None

    def _write(self, number: int, device: DeviceFile, further: Sequence[str]) -> None:
        folder = self.sysfsdev(number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.ini").write_text(device.text() + "".join(f"{line}\n" for line in further))
        group = folder / "iommu_group"
        group.unlink(missing_ok=True)
        group.symlink_to(f"../../groups/{number}")  # QEMU reads only the number that the link ends in

    def sysfsdev(self, number: int) -> Path:
        """What ``sysfsdev=`` names for device `number`."""
        return self.folder / "devices" / f"device{number}"

    def environment(self) -> dict[str, str]:
        """What the process needs to know."""
        return {VARIABLE: str(self.folder)}

    def arguments(self, properties: Mapping[str, str] | None = None) -> list[str]:
        """QEMU's ``-device`` options for all devices, each with these further properties."""
        words = []
        more = "".join(f",{name}={value}" for name, value in (properties or {}).items())
        for number in range(len(self.devices)):
            address = pci_address(number, len(self.devices))
            options = f"vfio-pci,sysfsdev={self.sysfsdev(number)},addr={address}{more}"
            if len(self.devices) > LAST_SLOT - FIRST_SLOT + 1:
                options += ",multifunction=on"
            words += ["-device", options]
        return words

    def sections(self) -> dict[str, str]:
        """Section ids by the names that QEMU's trace points use."""
        return {self.sysfsdev(number).name: device.section for number, device in enumerate(self.devices)}

    def events(self) -> list[dict[str, Any]]:
        """What the devices did so far: event, t, device and what else is known.

        Raises:
            DeviceError: the log holds a line that is no JSON.
        """
        try:
            lines = (self.folder / "events.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise DeviceError(f"{self.folder}/events.jsonl: {error}") from error
