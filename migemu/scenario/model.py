"""One migration as data: the machine, its RAM and devices, the channels, the limits, the link.

The docstring under each field is its description in the JSON Schema. Sizes are bytes, rates bytes per
second, times seconds; files, environment and command line write them with units.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from migemu.scenario.checks import combinations
from migemu.scenario.device import STRICT, Device
from migemu.scenario.files import file_size
from migemu.scenario.limits import Limits, Timeouts
from migemu.scenario.names import MAX_CHANNELS, MIB
from migemu.scenario.naming import named
from migemu.scenario.order import Order, named_orders
from migemu.scenario.quantity import (
    Handoff,
    Machine,
    OptionalPath,
    OptionalRate,
    OptionalSize,
    OptionalUuid,
    PacketSize,
    PositiveTime,
    Rate,
    Size,
    Time,
)
from migemu.scenario.tls import Tls
from migemu.scenario.virtual import Virtual


class Ram(BaseModel):
    """The guest's memory, and the guest that keeps writing to it."""

    model_config = STRICT

    size: Size = 256 * MIB
    """Bytes of guest RAM, a multiple of the page size. Not used when file names one."""
    page_size: Literal[4096] = 4096
    """Bytes of a guest page. Fixed."""
    file: OptionalPath = None
    """File whose bytes are the RAM at the start; without it the content is generated from the seed."""
    zero_fraction: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Part of the generated pages that are all zero, 0 to 1."""
    dirty_rate: Rate = 0.0
    """How fast the running guest dirties pages, counted in whole pages."""
    working_set: OptionalSize = None
    """Bytes of RAM the guest writes to; unlimited: all of it."""

    def total_size(self) -> int:
        """Bytes of RAM: the file's size rounded up to whole pages, or `size`.

        Raises:
            ConfigError: the file is not there (it need only be on the source).
        """
        size = self.size if self.file is None else file_size(self.file)
        return -(-size // self.page_size) * self.page_size


class Platform(BaseModel):
    """What the machine asks of the order in which devices are loaded."""

    model_config = STRICT

    needs_interrupt_controller: bool = True
    """Whether a device's config may be loaded only after the interrupt controller is in, as on ARM64."""
    interrupt_controller_load_time: Time = 0.005
    """Time the destination needs to load the interrupt controller."""
    allow_early_config: bool = False
    """Whether a hand-off that may load config before the interrupt controller runs all the same: bug B2."""


class Migration(BaseModel):
    """Parameters of the migration, with QEMU's names where it has them."""

    model_config = STRICT

    channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)] = 2
    """Number of multifd channels."""
    packet_size: PacketSize = MIB
    """Bytes of device data in a packet; QEMU reads the device in buffers of 1 MiB."""
    downtime_limit: PositiveTime = 0.3
    """How long the guest may be stopped; decides when to switch over. QEMU's default is 300 ms."""
    max_bandwidth: OptionalRate = None
    """Rate the source keeps to while the guest runs. QEMU's own default is 128 MiB/s."""
    switchover_ack: bool = False
    """Whether the source waits until the destination has every device's initial pre-copy data."""
    return_path: bool = True
    """Whether the destination may answer: clock offset, switchover ack, the end of the load."""
    max_rounds: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Rounds of RAM after which the guest is stopped although more is pending than the limit allows."""


class Link(BaseModel):
    """The network between the sides, as far as it is slower than what is really there."""

    model_config = STRICT

    rate: OptionalRate = None
    """All connections together."""
    per_channel: OptionalRate = None
    """Each connection by itself."""
    delay: Time = 0.0
    """One way, added to every connection."""


class Scenario(BaseModel):
    """One migration: what both sides read, and all that a run depends on besides the machine it runs on."""

    model_config = STRICT

    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = "migration"
    """What reports call it; the file's name if left out."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """All generated content and every random choice follow from it."""
    machine: Machine = "11.1"
    """Machine type: which of QEMU's features and hand-offs exist."""
    handoff: Handoff = "load-ready"
    """Who loads a device's config state, and when."""
    uuid: OptionalUuid = None
    """The migration's UUID, in every channel's hello; left out: made from the seed."""
    digest: Literal["xxh3_128", "sha256"] = "xxh3_128"
    """Digest that proves device data and config arrived as they left."""
    dilation: Annotated[float, Field(ge=0.01, le=1000)] = 1.0
    """Slow the model down: rates divided by it, times multiplied, results scaled back and marked."""

    platform: Platform = Platform()
    """What the machine asks of the order of loading."""
    ram: Ram = Ram()
    """Guest memory."""
    migration: Migration = Migration()
    """Parameters of the migration."""
    limits: Limits = Limits()
    """What a peer can make a side hold."""
    timeouts: Timeouts = Timeouts()
    """How long waits may last."""
    tls: Tls = Tls()
    """Encryption and identities; nothing set: plain TCP."""
    link: Link = Link()
    """The network between the sides."""
    virtual: Virtual = Virtual()
    """Costs of runs in virtual time."""
    device: Annotated[tuple[Device, ...], Field(strict=False)] = ()
    """The devices, 0 to 64, in the order in which QEMU would walk them."""
    order: Annotated[tuple[Order, ...], Field(strict=False)] = ()
    """Rules that force an order, or a fault, on what is sent and received."""

    @field_validator("device")
    @classmethod
    def _name_devices(cls, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return named(devices)

    @field_validator("order")
    @classmethod
    def _name_orders(cls, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        return named_orders(orders)

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = combinations(self)
        if problems:
            raise PydanticCustomError("combinations", "impossible combination", {"problems": problems})
        return self

    def of_run(self, run: int) -> Self:
        """The scenario of run `run`, from 0: where times vary each has a seed of its own."""
        if run <= 0 or not self.virtual.jitter.any():
            return self
        return self.model_copy(update={"seed": self.seed + run})

    def migration_uuid(self) -> UUID:
        """The UUID every channel says in its hello: `uuid`, or one that follows from the seed."""
        if self.uuid is not None:
            return self.uuid
        return UUID(bytes=hashlib.sha256(b"migemu uuid %d" % self.seed).digest()[:16], version=4)
