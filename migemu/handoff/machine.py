"""What a design works on: the destination's devices, its threads and its locks."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from migemu.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Bql, Patience, Pool
    from migemu.vfio.load import LoadDevice
    from migemu.vfio.model import Platform
    from migemu.vfio.reassembly import StateBuffers


@dataclass
class Slot:
    """One device of the destination and what has come for it."""

    device: LoadDevice
    buffers: StateBuffers

    @property
    def name(self) -> str:
        """The device's section id."""
        return self.device.model.name


class Config(NamedTuple):
    """A config state taken out of the reassembly: nobody's mutex guards it any more."""

    data: bytes
    idx: int
    """Of its packet, which is how many data buffers must be in."""


@dataclass
class Machine:
    """The destination, as far as a design may touch it."""

    threads: Threads
    abort: Abort
    patience: Patience
    bql: Bql
    pool: Pool
    platform: Platform
    interrupt_controller_load_time: float = 0.0
    """Seconds."""
    channels: int = 0
    """Number of multifd channels."""
    slots: dict[str, Slot] = field(default_factory=dict)
    on_idle: Callable[[int], None] = lambda _channel: None
    """Called from a receive thread, no lock held: it has done all that came on its channel, read on."""

    def slot(self, name: str) -> Slot:
        """The device a packet or section names.

        Raises:
            WireError: this machine has no such device.
        """
        try:
            return self.slots[name]
        except KeyError:
            known = ", ".join(self.slots) or "none"
            raise WireError(
                f"unknown device; this machine has: {known}", device=name, phase="device state"
            ) from None

    def without_bql(self) -> AbstractContextManager[None]:
        """Drop the BQL around a wait or a mutex, if the caller holds it."""
        return self.bql.released() if self.bql.held() else nullcontext()
