"""A scenario in a real QEMU's words: devices for the shim, options, capabilities, parameters.

A real QEMU decides more than our own processes let it: what a scenario asks of the rest is listed by
:func:`notes`, so that nobody compares what was not the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import UsageError
from migemu.qemu.board import PC, Board
from migemu.qemu.standin import DeviceFile
from migemu.scenario import Link
from migemu.vfio.states import State

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Version
    from migemu.scenario import Device, Scenario

GIB: Final = 1024**3
PACKET: Final = 1 << 20
"""The most bytes of device state a packet: the size of QEMU's reads from a device, which may give less."""

UNLIMITED: Final = 1 << 50
"""max-bandwidth for no limit, bytes a second; QEMU's own default would be 128 MiB/s."""

FOREVER: Final = 24 * 3600 * 10**9
"""ns an injected stall lasts: until the process is ended."""

HANDOFFS: Final[dict[str, dict[str, str]]] = {
    "main-channel": {"x-migration-multifd-transfer": "off"},
    "load-thread": {"x-migration-multifd-transfer": "on", "x-migration-load-config-after-iter": "off"},
    "load-ready": {"x-migration-multifd-transfer": "on", "x-migration-load-config-after-iter": "on"},
}
"""The designs QEMU has, as properties of a VFIO device."""

AFTER_ITER: Final = (10, 1)
"""The first version with x-migration-load-config-after-iter."""

QUEUE_LIMIT: Final = "x-migration-max-queued-buffers-size"
"""Property of a VFIO device, as old as AFTER_ITER."""

_SPREAD: Final = 0x9E3779B97F4A7C15
"""Odd: device numbers times it are far apart, so that devices' contents differ in every word."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pair of QEMUs of these versions can do of a scenario."""

    scenario: Scenario
    """Already slowed down by its dilation."""
    version: Version
    """The older side's."""
    multifd: bool = True
    """Whether the multifd capability is on at all."""
    board: Board = PC
    """Both sides' machine."""

    def __post_init__(self) -> None:
        if self.scenario.handoff not in HANDOFFS:
            known = ", ".join(HANDOFFS)
            raise UsageError(f"QEMU has no hand-off design {self.scenario.handoff}; it has {known}")

    @property
    def handoff(self) -> str:
        """The design that will really run."""
        if not self.multifd or self.machine_version() < (10, 0):
            return "main-channel"
        if self.scenario.handoff == "load-ready" and self.version < AFTER_ITER:
            return "load-thread"
        return self.scenario.handoff

    def machine_version(self) -> Version:
        """The scenario's machine type, or the newest that both sides have."""
        asked = tuple(int(part) for part in self.scenario.machine.split("."))
        return min(asked, self.version[:2])

    def machine(self) -> str:
        """QEMU's name of the machine type."""
        return self.board.machine(self.machine_version())

    def _queue_limit(self) -> dict[str, str]:
        """QEMU has a limit a device, and fails at it; by default none."""
        limits = self.scenario.limits
        if limits.on_cap != "fail" or limits.queue_per_device is None:
            return {}
        return {QUEUE_LIMIT: str(limits.queue_per_device)}

    @property
    def halts(self) -> bool:
        """Whether RAM is not written to although the scenario asks for it."""
        return self.scenario.ram.dirty_rate > 0 and not self.board.writes

    def properties(self) -> dict[str, str]:
        """Properties of each VFIO device."""
        chosen = dict(HANDOFFS[self.handoff]) if self.version >= (10, 0) else {}
        if self.version < AFTER_ITER:
            chosen.pop("x-migration-load-config-after-iter", None)
        elif chosen.get("x-migration-multifd-transfer") == "on":
            chosen |= self._queue_limit()
        return {"enable-migration": "on", **chosen}

    def capabilities(self) -> dict[str, bool]:
        """Of the migration, for both sides."""
        asked = self.scenario.migration
        chosen = {"multifd": self.multifd, "return-path": asked.return_path}
        return chosen | ({"switchover-ack": True} if asked.switchover_ack else {})

    def parameters(self) -> dict[str, Any]:
        """Of the migration, for both sides, in QEMU's units."""
        asked = self.scenario.migration
        chosen: dict[str, Any] = {
            "max_bandwidth": round(asked.max_bandwidth or UNLIMITED),
            "downtime_limit": max(1, round(asked.downtime_limit * 1000)),
        }
        if self.multifd:
            chosen["multifd_channels"] = asked.channels
        if self.version >= (8, 2):
            chosen["avail_switchover_bandwidth"] = self._switchover_bandwidth()
        return chosen

    def _switchover_bandwidth(self) -> int:
        """Enough for the devices' state to fit the downtime limit.

        11.1 counts stop-copy data as pending and measures the bandwidth of an idle stream: left to itself it
        would never switch over with a device that has no pre-copy.
        """
        state = sum(device.stop_copy_size() for device in self.scenario.device)
        return max(10 * GIB, round(2 * state / self.scenario.migration.downtime_limit))

    def source_device(self, number: int) -> DeviceFile:
        """Device `number` as the source has it."""
        device = self.scenario.device[number]
        return DeviceFile(
            **_common(device),
            state_size=device.stop_copy_size(),
            state_file=device.state,
            initial_size=device.initial_size,
            precopy_size=device.all_precopy_size() - device.initial_size,
            precopy_dirty_rate=round(device.precopy_dirty_rate),
            read_rate=_rate(device.read_rate),
            read_size=self._read_size(),
            read_partial=device.injected.read_partial,
            seed=(self.scenario.seed + (number + 1) * _SPREAD) % 2**64,
        )

    def _read_size(self) -> int | None:
        """What a device gives a read, so that packets are as small as the scenario's."""
        asked = self.scenario.migration.packet_size
        return asked if asked < PACKET else None

    def destination_device(self, number: int, keep: Path | None = None) -> DeviceFile:
        """Device `number` as the destination has it.

        Args:
            number: which.
            keep: where its loaded bytes go when the scenario names no file.
        """
        device = self.scenario.device[number]
        return DeviceFile(
            **_common(device),
            state_size=0,
            keep_file=device.keep or keep,
            write_rate=_rate(device.write_rate),
            config_load_ns=_ns(device.config_load_time),
            write_partial=device.injected.partial_writes,
            write_error_at=device.injected.write_error_at,
            write_stall_at=device.injected.stall_at,
            stall_ns=FOREVER,
            seed=number + 1,
        )

    def notes(self) -> list[str]:
        """What of the scenario a real QEMU does otherwise, a line each."""
        asked = self.scenario
        found = [
            (asked.handoff != self.handoff, f"hand-off {self.handoff} runs, not {asked.handoff}"),
            (self.machine() != PC.machines + asked.machine, f"the machine type is {self.machine()}"),
            (asked.migration.packet_size > PACKET, "device packets are of 1 MiB, the most QEMU reads"),
            (any(d.config_save_time for d in asked.device), "saving config takes no time of the device's"),
            (self.halts, f"nobody writes to RAM: the guest of an {self.board.target} machine only halts"),
            (asked.link != Link(), "the link is not slowed down"),
            (bool(asked.device), "a device's config state is QEMU's: 256 bytes of PCI config and its words"),
        ]
        return [text for applies, text in found if applies]


def _common(device: Device) -> dict[str, Any]:
    times = {State(name): _ns(time) for name, time in device.transition_times.items()}
    return {"section": device.section_id, "precopy": device.precopy, "p2p": device.p2p, "enter_ns": times}


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _rate(rate: float | None) -> int | None:
    return None if rate is None else max(1, round(rate))
