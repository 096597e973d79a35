"""When a destination acknowledges the switchover: QEMU's two dialects.

Up to machine type 11.0 the source waits for one SWITCHOVER_ACK for all devices. From 11.1 on it waits for
one from each device that asked for it, and takes any other for an error. Only a device with pre-copy data
asks, by INIT_DATA_SENT; in the older dialect the destination has to know that all of them have. The stream
tells: each round begins with RAM, and every device in pre-copy has its part in each round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.errors import WireError

if TYPE_CHECKING:
    from migemu.handoff.machine_types import MachineType

ONE_FOR_ALL: Final = (11, 0)
"""The newest machine type of the older dialect (switchover-ack-legacy)."""


class Acks:
    """Told what the stream brings; says when to acknowledge.

    Args:
        machine: the source's machine type.
        wanted: the capability is known to be on. The wire does not tell; QEMU's own destination knows by its
            setting, and then acknowledges where no device asks.
    """

    def __init__(self, machine: MachineType, *, wanted: bool) -> None:
        self._one_for_all = machine.version <= ONE_FOR_ALL
        self._wanted = wanted
        self._told = False
        self._rounds = 0
        self._in_precopy: set[str] = set()
        self._initial: set[str] = set()

    def part(self, device: str) -> None:
        """A part of a device in pre-copy."""
        self._in_precopy.add(device)

    def initial_data(self, device: str) -> bool:
        """INIT_DATA_SENT of a device; whether to acknowledge at once.

        Raises:
            WireError: it came before.
        """
        if device in self._initial:
            raise WireError("unexpected INIT_DATA_SENT", device=device, channel="main")
        self._initial.add(device)
        return not self._one_for_all

    def round_begins(self) -> bool:
        """RAM's part opens a round; whether to acknowledge for all devices now."""
        self._rounds += 1
        if self._told or not self._one_for_all or not self._in_precopy <= self._initial:
            return False
        nobody_asks = self._wanted and self._rounds > 1 and not self._in_precopy
        self._told = bool(self._initial) or nobody_asks
        return self._told
