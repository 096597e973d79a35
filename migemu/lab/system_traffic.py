"""What a source sends, as data: deliveries on each multifd channel, bursts on the main channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from migemu.handoff.design import Carrier
from migemu.lab.system_payload import SIZE, WRAPPED_CONFIG, Piece, span_of
from migemu.lab.system_stream import main_channel, prelude
from migemu.wire.multifd import DevicePacket
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.handoff.design import Design
    from migemu.lab.system_stream import Burst
    from migemu.scenario import Device, Scenario
    from migemu.wire.buffers import Buffer
    from migemu.wire.multifd import RamPacket


class Delivery(NamedTuple):
    """One thing that comes on a multifd channel."""

    label: str
    """In migration words: ``idx 2 of 0000:00:01.0/vfio``."""
    packet: DevicePacket | None = None
    """A device-state packet; its payload is not used up, so it may be delivered in many runs."""
    pages: Callable[[], RamPacket] | None = None
    """Makes a packet of RAM pages anew for each run."""
    sync: bool = False
    """SYNC: the channel is read no further until the main channel's barrier word."""
    ends: str | None = None
    """The connection ends here: cleanly for "", else failing for this reason."""


@dataclass(frozen=True)
class Traffic:
    """All that a source sends."""

    channels: tuple[tuple[Delivery, ...], ...]
    prelude: tuple[Any, ...] = ()
    """Records of the main channel that are there before anything else can happen."""
    main: tuple[Burst, ...] = ()

    @cached_property
    def most(self) -> dict[str, int]:
        """The highest idx of each device."""
        packets = [
            delivery.packet for row in self.channels for delivery in row if delivery.packet is not None
        ]
        return {
            device: max(packet.idx for packet in packets if packet.device == device)
            for device in {packet.device for packet in packets}
        }

    def on(self, *rows: Sequence[Delivery]) -> Traffic:
        """The same with these deliveries on the channels."""
        return replace(self, channels=tuple(tuple(row) for row in rows))

    def saying(self, *bursts: Burst) -> Traffic:
        """The same with these bursts on the main channel."""
        return replace(self, main=bursts)

    def without(self, label: str) -> Traffic:
        """The same with all deliveries and bursts of this label lost on the way."""
        rows = tuple(tuple(one for one in row if one.label != label) for row in self.channels)
        return replace(self, channels=rows, main=tuple(one for one in self.main if one.label != label))

    def doubled(self, label: str) -> Traffic:
        """The same with what has this label sent twice."""
        rows = tuple(_doubled(row, label) for row in self.channels)
        return replace(self, channels=rows, main=_doubled(self.main, label))

    def closing(self, reason: str = "") -> Traffic:
        """The same with every channel ending behind its last packet, as a source's do that has sent all."""
        return self.on(*([*row, ends(reason)] for row in self.channels))


def _doubled(row: Sequence[Any], label: str) -> tuple[Any, ...]:
    return tuple(two for one in row for two in ((one, one) if one.label == label else (one,)))


def data(device: str, idx: int, size: int = SIZE) -> Delivery:
    """Data buffer `idx` of a device: its image from ``idx * size`` on."""
    payload = cast("Buffer", Piece(span_of(device, idx, size)))
    return Delivery(f"idx {idx} of {device}", DevicePacket(device, 0, 0, idx, 0, payload))


def config(device: str, idx: int) -> Delivery:
    """The config packet of a device, the one with the highest idx."""
    payload = cast("Buffer", Piece(memoryview(WRAPPED_CONFIG)))
    packet = DevicePacket(device, 0, 0, idx, FLAG_CONFIG, payload)
    return Delivery(f"config idx {idx} of {device}", packet)


def sync() -> Delivery:
    """SYNC."""
    return Delivery("SYNC", sync=True)


def pages(label: str, make: Callable[[], RamPacket]) -> Delivery:
    """A packet of RAM pages."""
    return Delivery(label, pages=make)


def ends(reason: str = "") -> Delivery:
    """The connection ends: as a source's does that has sent all, or failing."""
    return Delivery(f"fails: {reason}" if reason else "closes", ends=reason)


def buffers_of(scenario: Scenario, device: Device) -> int:
    """Data packets of a device."""
    return -(-device.stop_copy_size() // scenario.migration.packet_size)


def traffic_of(scenario: Scenario, design: Design, *, fine: bool = False) -> Traffic:
    """What the source of `scenario` sends under `design`, its packets dealt to the channels in turn.

    Buffer i of device d goes by channel (i + d) mod N, so that a device's buffers are spread over all
    channels and no two devices are spread alike.

    Args:
        scenario: devices, channels, machine type, RAM (0 for no barrier in the last pass).
        design: says what travels where.
        fine: see :func:`~migemu.lab.system_stream.main_channel`.
    """
    devices = [(device.section_id, buffers_of(scenario, device)) for device in scenario.device]
    channels = scenario.migration.channels
    rows: list[list[Delivery]] = [[sync()] if scenario.ram.size else [] for _ in range(channels)]
    for idx in range(max((count for _, count in devices), default=0) + 1):
        for number, (name, count) in enumerate(devices):
            row = rows[(idx + number) % channels]
            if idx < count and design.data is Carrier.MULTIFD:
                row.append(data(name, idx, scenario.migration.packet_size))
            elif idx == count and design.config is Carrier.MULTIFD:
                row.append(config(name, idx))
    main = main_channel(scenario, design, devices, fine=fine)
    return Traffic(tuple(map(tuple, rows)), prelude(scenario.machine, (name for name, _ in devices)), main)
