"""Everything a peer can make a side hold, and how long it can make it wait.

The docstring under each field is its description in the JSON Schema. A limit that is met says its own
name, as ``limits.<field>`` or ``timeouts.<field>``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from migemu.scenario.device import STRICT
from migemu.scenario.names import GIB, KIB, MIB
from migemu.scenario.quantity import OptionalSize, PayloadSize, PositiveTime, Size

Count = Annotated[int, Field(ge=1, le=100_000_000)]


class Limits(BaseModel):
    """Everything a peer can make this side hold."""

    model_config = STRICT

    queue_per_device: OptionalSize = GIB
    """Bytes of one device that may wait for its load thread. QEMU's default is unlimited."""
    queue_total: OptionalSize = 2 * GIB
    """Bytes of all devices that may wait for their load threads."""
    on_cap: Literal["fail", "pause"] = "pause"
    """At a queue's cap: fail as QEMU does, or pause the channel where that cannot starve a device."""
    queue_main: Size = 2 * MIB
    """Bytes of the main channel that may wait for the incoming thread; then it is read no further. Two blocks
    of device state: QEMU's reader is the thread that loads them, so it reads no further ahead than 32 KiB."""
    slots_per_device: Count = 65_536
    """How far ahead of the next buffer to load a device-state packet's idx may lie."""
    max_payload: PayloadSize = GIB
    """Bytes of the largest packet accepted from the wire, its header not counted."""
    max_section_string: Count = 1024
    """Bytes of the machine type's name in the stream."""
    max_capabilities: Count = 256
    """Capability names in the stream's CONFIGURATION."""
    max_command: Size = 64 * KIB
    """Bytes of a command's data."""
    max_commands: Count = 100_000
    """Commands in one stream, and messages on one return path."""
    max_sections: Count = 4096
    """Different sections in one stream."""
    max_ram_blocks: Count = 4096
    """RAM blocks in the stream's list."""
    max_ram: Size = 64 * GIB
    """Bytes of guest RAM a source may have, where this side takes its RAM from the stream (a QEMU's)."""
    max_pci_config: Annotated[int, Field(ge=1, le=190_000)] = 128 * KIB
    """Bytes of a PCI config state of QEMU's own form."""
    max_non_iterable: Size = 64 * MIB
    """Bytes of the device sections whose form is not known."""
    max_vmdesc: Size = 16 * MIB
    """Bytes of the JSON description that ends the stream."""
    max_connections: Annotated[int, Field(ge=2, le=65_535)] = 1024
    """Connections the destination holds open at a time, those without a hello included."""
    max_unfinished: Annotated[int, Field(ge=2, le=65_535)] = 512
    """Connections that have not said yet what they are; the oldest then makes way for the newest."""
    order_room: Size = 256 * MIB
    """Bytes a side under order rules may read ahead and keep aside, all connections together."""
    refusals: Annotated[int, Field(ge=0, le=100_000_000)] = 1000
    """Refused connections that are recorded one by one; further ones are only counted."""
    hello_timeout: PositiveTime = 5.0
    """Time a new connection has to say what it is, its TLS handshake included."""
    events: Annotated[int, Field(ge=0, le=100_000_000)] = 1_000_000
    """Events of single packets each side records; further ones are only counted."""


class Timeouts(BaseModel):
    """How long each wait may last before the migration fails."""

    model_config = STRICT

    connect: PositiveTime = 10.0
    """From the first try to connect until every channel is connected."""
    arrival: PositiveTime = 5.0
    """From the first of a source's connections to its last; then its places are free for another source."""
    setup: PositiveTime = 30.0
    """From connected until the destination has set up every device."""
    phase: PositiveTime = 30.0
    """Longest time without any progress, in every phase."""
    switchover: PositiveTime = 300.0
    """From the stopped guest on the source until it runs on the destination."""
    total: PositiveTime = 3600.0
    """The whole migration."""
