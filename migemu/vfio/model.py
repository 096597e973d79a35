"""What a device is like: sizes, speeds, times and injected faults, one value for both sides of a migration.

What a device saves is one stream in two parts: *pre-copy data*, read while it runs (``initial_size`` first,
then what it keeps dirtying), and *stop-copy data*, read once it is stopped: its image, then what pre-copy has
left over. Without pre-copy only the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.vfio.states import Feature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migemu.vfio.states import State


@dataclass(frozen=True, slots=True)
class Faults:
    """Failures to inject into one device; all off by default."""

    read_partial: bool = False
    """Reads return seeded random shorter pieces."""

    partial_writes: bool = False
    """Writes take seeded random prefixes, as a real data fd may (bug B8 of a loader without a loop)."""

    write_error_at: int | None = None
    """The write that would pass this offset of the data stream, in bytes, fails with EIO."""

    stall_at: int | None = None
    """The write that would pass this offset, in bytes, first stalls for `stall_time`."""

    stall_time: float = 0.0
    """How long the one stall lasts, in seconds."""


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """One VFIO device.

    Raises:
        ConfigError: a size, rate or time is negative, or a rate is zero.
    """

    name: str
    """Section id, the idstr on the wire: ``0000:00:01.0/vfio``."""

    instance: int = 0
    """Instance id; 0 for devices with a PCI path as their id."""

    seed: int = 0
    """Seeds generated content and random faults."""

    precopy: bool = False
    """The device has PRE_COPY: it can be read while it runs."""

    p2p: bool = True
    """The device has the peer-to-peer quiescent states, needed with more than one device in a VM."""

    initial_size: int = 0
    """Bytes to read in PRE_COPY before the switchover makes sense (``initial_bytes``)."""

    precopy_size: int = 0
    """Bytes of further pre-copy data, dirty when PRE_COPY begins and dirtied again while the device runs."""

    precopy_dirty_rate: float = 0.0
    """Bytes of it dirtied a second while the device is in PRE_COPY; never more than all of it is dirty."""

    read_rate: float | None = None
    """Bytes per second the source device gives out; None costs nothing."""

    write_rate: float | None = None
    """Bytes per second the destination device takes in; None costs nothing."""

    config_save_time: float = 0.0
    """Seconds it takes to save the config state."""

    config_load_time: float = 0.0
    """Seconds it takes to load the config state: 70 ms on the published ConnectX-7 runs."""

    transition_times: Mapping[State, float] = field(default_factory=dict)
    """Seconds it takes to enter a state; states not named take none."""

    faults: Faults = Faults()
    """Failures to inject."""

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and value < 0:
                raise ConfigError(f"{name} cannot be negative, it is {value}", device=self.name)
        if 0 in (self.read_rate, self.write_rate):
            raise ConfigError("a rate of 0 would never end; leave it out for no limit", device=self.name)

    @property
    def features(self) -> Feature:
        """The VFIO_MIGRATION flags this device reports."""
        found = Feature.STOP_COPY
        found |= Feature.P2P if self.p2p else Feature(0)
        return found | (Feature.PRE_COPY if self.precopy else Feature(0))

    def transition_time(self, state: State) -> float:
        """Seconds it takes to enter `state`."""
        return self.transition_times.get(state, 0.0)


@dataclass(slots=True)
class Platform:
    """What the machine round the devices asks of a config load; shared by all devices of a destination.

    Args:
        needs_interrupt_controller: as on ARM64, where enabling MSI in the config load fails unless the
            interrupt controller's state is in (bug B2).
        config_needs_bql: the config load changes the address space and so needs the BQL; False only under a
            design that makes those changes re-entrant.
    """

    needs_interrupt_controller: bool = True
    config_needs_bql: bool = True
    interrupt_controller_in: bool = False

    def interrupt_controller_loaded(self) -> None:
        """The interrupt controller's own state has been loaded."""
        self.interrupt_controller_in = True
