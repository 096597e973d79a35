"""What is known of one migration afterwards: ``result.json``, schema ``migemu.result/1``.

Times are seconds, sizes bytes, rates bytes a second, all as measured: a dilated run's figures are not
scaled back here, ``dilation`` says by how much they would have to be. None means not known, for
example because a side died before it could tell.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Literal["migemu.result/1"] = "migemu.result/1"


class Record(BaseModel):
    """A frozen object without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DowntimeParts(Record):
    """The downtime cut at QEMU's checkpoints; the parts known add up to the downtime."""

    stop: float | None = Field(default=None, description="until the VM and its devices stand still")
    save_iterables: float | None = Field(
        default=None, description="until RAM and device data were handed to channels"
    )
    save_non_iterables: float | None = Field(default=None, description="until the last section was written")
    load_remainder: float | None = Field(
        default=None, description="until the destination has loaded all of it"
    )
    verify_commit: float | None = Field(
        default=None, description="until digests agree and the source has given up the VM"
    )
    announce: float | None = Field(default=None, description="until the network was told of the move")
    start: float | None = Field(default=None, description="until the destination's VM runs")


class Times(Record):
    """When."""

    total: float = Field(default=0.0, description="the source's first event to the last of either side")
    setup: float | None = Field(default=None, description="until the first RAM round")
    precopy: float | None = Field(default=None, description="first RAM round until the downtime starts")
    downtime: float | None = Field(
        default=None, description="src-downtime-start to dst-precopy-bh-vm-started"
    )
    downtime_start: float | None = Field(
        default=None, description="when it starts, after the source's first event"
    )
    parts: DowntimeParts = DowntimeParts()
    clock_error: float = Field(default=0.0, description="how wrong times across the two sides may be")


class Ram(Record):
    """Guest memory sent."""

    rounds: int = 0
    pages: int = Field(default=0, description="pages sent with their bytes")
    zero_pages: int = 0
    bytes: int = Field(default=0, description="on the wire, headers included where the source counts them")
    bandwidth: float | None = Field(default=None, description="bytes over the time of the rounds")


class DeviceResult(Record):
    """One device's way from source to destination."""

    device: str
    precopy_bytes: int = Field(default=0, description="data sent on the main channel before the switchover")
    data_bytes: int = Field(default=0, description="stop-copy data loaded at the destination")
    sent_bytes: int = Field(default=0, description="stop-copy data saved at the source")
    config_bytes: int | None = None
    buffers: int = Field(default=0, description="packets of data loaded")
    save: float | None = Field(default=None, description="save thread start to end")
    transfer: float | None = Field(default=None, description="first buffer to last buffer arriving")
    total: float | None = Field(default=None, description="start of loading to its end, config included")
    wait: float | None = Field(default=None, description="waiting for buffers")
    load: float | None = Field(default=None, description="writing data into the device")
    ready_wait: float | None = Field(default=None, description="ready but not yet allowed to load config")
    config_load: float | None = None
    queued_peak: int = Field(default=0, description="most bytes that waited for their turn")


class ChannelResult(Record):
    """One multifd channel."""

    channel: int
    packets: int = 0
    bytes: int = 0
    device_bytes: int = 0
    share: float = Field(default=0.0, description="of the bytes of all multifd channels, 0 to 1")


class BqlHolder(Record):
    """A thread that held the big lock."""

    side: str
    holder: str
    seconds: float
    times: int = Field(description="holds of a millisecond or more")
    longest: float


class Throughput(Record):
    """How fast."""

    precopy: float | None = Field(
        default=None, description="RAM bytes over the time of the rounds before the downtime"
    )
    device_state: float | None = Field(
        default=None, description="all devices' data over first save-thread start to last buffer loaded"
    )


class Verification(Record):
    """One comparison of digests."""

    what: str = Field(description="data, config or ram")
    device: str | None = None
    ok: bool
    detail: str = ""


class InvariantResult(Record):
    """An invariant of the house plan; ``ok`` is None where the run gave no occasion to check it."""

    name: str
    ok: bool | None
    detail: str = ""

    def line(self) -> str:
        """One line for people."""
        verdict = {True: "ok", False: "BROKEN", None: "not checked"}[self.ok]
        return f"{self.name}: {verdict}" + (f", {self.detail}" if self.detail else "")


class Versions(Record):
    """What ran."""

    migemu: str
    python: str
    uvloop: str | None
    kernel: str


class ScenarioRecord(Record):
    """What was asked for."""

    name: str = ""
    hash: str = ""
    effective: dict[str, Any] = {}


class Result(Record):
    """One migration."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["migemu.result/1"] = Field(default=SCHEMA, alias="schema")
    verdict: Literal["completed", "failed"]
    reasons: tuple[str, ...] = ()
    exit_code: int
    scenario: ScenarioRecord
    versions: Versions
    seed: int | None = None
    handoff: str = ""
    virtual: bool = Field(default=False, description="in virtual time: the link and the clock were modelled")
    dilation: float = Field(default=1.0, description="how many times slower the model ran than it says")
    scaled_back: bool = Field(default=False, description="whether the figures are those of an undilated run")
    times: Times
    ram: Ram
    devices: tuple[DeviceResult, ...] = ()
    channels: tuple[ChannelResult, ...] = ()
    bql: tuple[BqlHolder, ...] = ()
    throughput: Throughput = Throughput()
    verification: tuple[Verification, ...] = ()
    invariants: tuple[InvariantResult, ...] = ()
    runnable: Literal["source", "destination", "both", "none", "unknown"] = Field(
        default="unknown", description="which side's VM may run now"
    )
    suppressed_events: int = Field(default=0, description="detail events that were added up instead of kept")
    missing: tuple[str, ...] = Field(default=(), description="sides whose log is missing")

    def broken(self) -> tuple[InvariantResult, ...]:
        """The invariants that did not hold."""
        return tuple(invariant for invariant in self.invariants if invariant.ok is False)
