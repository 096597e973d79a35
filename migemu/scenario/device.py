"""One VFIO device of a scenario: what state it has and how fast it is.

The docstring under each field is its description in the JSON Schema.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from migemu.scenario.files import file_size
from migemu.scenario.names import KIB, MIB, STATES
from migemu.scenario.quantity import (
    OptionalPath,
    OptionalRate,
    OptionalSize,
    Rate,
    Size,
    Time,
    nearest,
    refuse,
)

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)
"""Models do not change, know every key they are given, and never turn ``true`` into 1."""

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def _read_id(value: object) -> object:
    if isinstance(value, str) and value and not _ID.fullmatch(value):
        raise refuse(f"{value!r} is not a device id: up to 64 of letters, digits and . : _ -")
    return value


def _read_transitions(value: object) -> object:
    """Let environment variables and people write states in either case."""
    if not isinstance(value, dict):
        return value
    for name in value:
        if str(name).upper() not in STATES:
            raise refuse(f"unknown device state {str(name)!r}; {nearest(str(name), STATES)}")
    return {str(name).upper(): time for name, time in value.items()}


DeviceId = Annotated[str, BeforeValidator(_read_id)]
TransitionTimes = Annotated[
    dict[str, Time],
    BeforeValidator(_read_transitions),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"enum": list(STATES)},
            "additionalProperties": {"type": "string"},
        }
    ),
]


class Injected(BaseModel):
    """Faults of one device, for tests of everything that must survive them."""

    model_config = STRICT

    write_error_at: OptionalSize = None
    """Destination: the write that reaches this offset of the state fails with EIO."""
    stall_at: OptionalSize = None
    """Destination: the write that reaches this offset of the state does not return until it is cancelled."""
    partial_writes: bool = False
    """Destination: a write takes only part of what it is given, as a file descriptor may."""
    read_partial: bool = False
    """Source: a read gives less than was asked for before the end, as a file descriptor may."""


class Device(BaseModel):
    """One VFIO device: its state, its config state, and the model of its speed."""

    model_config = STRICT

    id: DeviceId = ""
    """Name on the bus, for example 0000:af:00.2; empty: numbered 0000:00:01.0, 0000:00:02.0, and so on.
    Within a [[device]] that has a count, {n} stands for 0, 1, 2 and so on."""

    state: OptionalPath = None
    """File whose bytes are the device's stop-copy data; without it they are generated from the seed."""
    state_size: Size = 100 * MIB
    """Bytes of stop-copy data to generate. Not used when state names a file."""
    config: OptionalPath = None
    """File whose bytes are the device's config state; without it they are generated from the seed."""
    config_size: Size = 4 * KIB
    """Bytes of config state to generate. Not used when config names a file."""
    keep: OptionalPath = None
    """File the destination writes the loaded state to; {id} stands for the device's id."""

    p2p: bool = True
    """Whether the device has the P2P states (VFIO_MIGRATION_P2P), entered before it stops."""
    precopy: bool = False
    """Whether the device sends data while it runs (VFIO_MIGRATION_PRE_COPY), on the main channel."""
    initial_size: Size = 0
    """Bytes of the first pre-copy data, those the switchover ack waits for."""
    precopy_size: Size = 0
    """Bytes of all pre-copy data, the first ones included; 0 means the first ones are all."""
    precopy_dirty_rate: Rate = 0.0
    """Bytes of new pre-copy data the running device makes in a second."""

    read_rate: OptionalRate = None
    """How fast the source device gives its data; unlimited: as fast as memory."""
    write_rate: OptionalRate = None
    """How fast the destination device takes its data; unlimited: as fast as memory."""
    config_save_time: Time = 0.0
    """Time the source needs to read the config state."""
    config_load_time: Time = 0.0
    """Time the destination needs to load the config state, the BQL held where the hand-off says so."""
    transition_times: TransitionTimes = Field(default_factory=dict)
    """Time to enter a migration state, by its name: { STOP_COPY = "20 ms" }. States not named take none."""

    injected: Injected = Injected()
    """Faults to inject."""

    @property
    def section_id(self) -> str:
        """The name of the device's sections and packets on the wire, as QEMU builds it."""
        return f"{self.id}/vfio"

    def stop_copy_size(self) -> int:
        """Bytes of stop-copy data: the file's size, or what is generated.

        Raises:
            ConfigError: the file is not there (it need only be on the source).
        """
        return self.state_size if self.state is None else file_size(self.state)

    def config_data_size(self) -> int:
        """Bytes of config state: the file's size, or what is generated.

        Raises:
            ConfigError: the file is not there (it need only be on the source).
        """
        return self.config_size if self.config is None else file_size(self.config)

    def all_precopy_size(self) -> int:
        """Bytes of pre-copy data before the running device adds to them."""
        return max(self.initial_size, self.precopy_size)
