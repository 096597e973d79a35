"""Every device packet that went by, by its name: device, idx, channel, size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


MAIN: Final = "main"


class Passed(NamedTuple):
    """One device packet."""

    device: str
    idx: int
    channel: int | str
    """The multifd channel it went over, or ``main``."""
    bytes: int
    config: bool

    def line(self) -> str:
        """For people."""
        kind = "config" if self.config else "data"
        return f"{self.device}  idx {self.idx:4d}  {kind:6}  channel {self.channel!s:>4}  {self.bytes} bytes"


@dataclass(slots=True)
class Packets:
    """All of one migration, in the order in which they went by."""

    _by_device: dict[str, list[Passed]] = field(default_factory=dict)

    def add(self, device: str, idx: int, channel: int | str, size: int, *, config: bool) -> bool:
        """One more; whether it is the device's first."""
        first = device not in self._by_device
        self._by_device.setdefault(device, []).append(Passed(device, idx, channel, size, config))
        return first

    def on_main(self, device: str, size: int) -> bool:
        """A block of stop-copy data on the main channel, which has no idx: it gets the one it would have."""
        return self.add(device, len(self._by_device.get(device, ())), MAIN, size, config=False)

    def over_main(self) -> Iterator[tuple[str, int]]:
        """Devices whose data went over the main channel, and how much."""
        for device, packets in self._by_device.items():
            if packets[0].channel == MAIN:
                yield device, self.data_bytes(device)

    def __iter__(self) -> Iterator[Passed]:
        return (packet for packets in self._by_device.values() for packet in packets)

    def __len__(self) -> int:
        return sum(map(len, self._by_device.values()))

    def of(self, device: str) -> list[Passed]:
        """One device's."""
        return list(self._by_device.get(device, ()))

    def data_bytes(self, device: str) -> int:
        """Bytes of that device's data so far."""
        return sum(packet.bytes for packet in self.of(device) if not packet.config)

    def lines(self) -> Iterator[str]:
        """A line a device."""
        for device, packets in self._by_device.items():
            data = [packet for packet in packets if not packet.config]
            channels = sorted({str(packet.channel) for packet in packets}, key=lambda name: (len(name), name))
            size = self.data_bytes(device)
            missing = missing_idx(packets)
            gap = f", idx {', '.join(map(str, missing))} never came" if missing else ""
            config = "config at its end" if any(packet.config for packet in packets) else "no config"
            yield (
                f"{device}: {len(data)} data packets, {size} bytes, {config}, over channel "
                f"{', '.join(channels)}{gap}"
            )


def missing_idx(packets: list[Passed]) -> list[int]:
    """Which idx below the highest did not go by."""
    seen = {packet.idx for packet in packets}
    return [idx for idx in range(max(seen, default=-1) + 1) if idx not in seen]
