"""Names of devices that were left out, and what follows from a name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.scenario.device import Device

_SLOTS = 31
"""Slots 1 to 31 of a PCI bus; slot 0 is the host bridge."""


def automatic_id(number: int) -> str:
    """The PCI address of device `number`: 0000:00:01.0, ... 0000:00:1f.0, 0000:01:01.0, ..."""
    bus, slot = divmod(number, _SLOTS)
    return f"0000:{bus:02x}:{slot + 1:02x}.0"


def named(devices: Iterable[Device]) -> tuple[Device, ...]:
    """Give every device an id, and put it in the place of ``{id}`` in its `keep`."""
    return tuple(_named(device, number) for number, device in enumerate(devices))


def _named(device: Device, number: int) -> Device:
    ident = device.id or automatic_id(number)
    keep = device.keep and Path(str(device.keep).replace("{id}", ident))
    if (ident, keep) == (device.id, device.keep):
        return device
    return device.model_copy(update={"id": ident, "keep": keep})
