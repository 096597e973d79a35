"""A made-up migration, as events, that tests tell and then spoil."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from migemu.observe.events import Event
from migemu.observe.join import join
from migemu.observe.result import RunEnd, build_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.observe.model import Result

MIB = 1024**2
SOURCE_CLOCK = 1000.0
OFFSET = 5.0
"""The destination's clock is five seconds ahead."""


class Story:
    """Two devices of three buffers each over two channels; times are milliseconds of the source."""

    def __init__(self, devices: int = 2, buffers: int = 3) -> None:
        self.buffers = buffers
        self.devices = [f"0000:00:{number:02x}.0/vfio" for number in range(1, devices + 1)]
        self.source: list[Event] = []
        self.destination: list[Event] = []
        self.scenario: dict[str, Any] = {
            "name": "story",
            "seed": 7,
            "handoff": "load-ready",
            "platform": {"needs_interrupt_controller": True},
            "limits": {"queue_per_device": 3 * MIB},
            "device": [{"id": name.removesuffix("/vfio"), "config_size": 4096} for name in self.devices],
        }

    def src(self, ms: float, event: str, thread: str = "migration", **fields: Any) -> None:
        self.source.append(Event(SOURCE_CLOCK + ms / 1000, "source", thread, event, fields))

    def dst(self, ms: float, event: str, thread: str = "incoming", **fields: Any) -> None:
        t = SOURCE_CLOCK + OFFSET + ms / 1000
        self.destination.append(Event(t, "destination", thread, event, fields))

    def tell(self) -> Story:
        """The whole of it, well."""
        self.precopy()
        for number, device in enumerate(self.devices):
            self.save(number, device)
            self.load(number, device)
        self.switchover()
        return self

    def precopy(self) -> None:
        self.src(0, "migrate_set_state", state="setup")
        self.src(0, "vm_state", running=True, runnable=True)
        self.dst(1, "vm_state", running=False, runnable=False)
        self.src(5, "clock_offset", offset=OFFSET + 0.004, rtt=0.01)
        self.src(6, "clock_offset", offset=OFFSET, rtt=0.0002)
        self.src(10, "migrate_set_state", state="active")
        for channel in (0, 1):
            self.src(20, "multifd_send_packet", channel=channel, block="pc.ram", idx=0, bytes=MIB, kind="ram")
        self.src(50, "precopy_round", round=1, pages=400, zero=100, bytes=1_600_000, pending=400_000)
        self.src(90, "precopy_round", round=2, pages=100, zero=0, bytes=400_000, pending=0)

    def save(self, number: int, device: str) -> None:
        thread = f"save {device}"
        self.src(106, "vfio_save_complete_precopy_thread_start", thread, device=device)
        for idx in range(self.buffers):
            at, channel = 107 + 10 * idx + number, idx % 2
            packet = {"device": device, "channel": channel, "idx": idx, "bytes": MIB}
            self.src(at, "vfio_save_device_state_buffer", thread, **packet)
            self.src(at + 0.5, "multifd_send_packet", thread, kind="device", **packet)
        self.src(
            140, "vfio_save_complete_precopy_thread_end", thread, device=device, bytes=self.buffers * MIB
        )

    def load(self, number: int, device: str) -> None:
        thread, begin = f"load {device}", 105 + number
        self.dst(begin, "vfio_load_bufs_thread_start", thread, device=device)
        for idx in range(self.buffers):
            self.load_buffer(device, idx, 108 + 10 * idx + number)
        self.dst(142, "config_ready", thread, device=device)
        start = 155 + 10 * number
        self.dst(start, "vfio_load_device_config_state_start", thread, device=device)
        self.dst(start + 9, "vfio_load_device_config_state_end", thread, device=device, bytes=4096)
        self.dst(start + 9.1, "bql_held", thread, holder=thread, seconds=0.0095)
        self.dst(start + 9.2, "vfio_load_bufs_thread_end", thread, device=device)

    def load_buffer(self, device: str, idx: int, at: float) -> None:
        place = {"device": device, "idx": idx}
        self.dst(
            at,
            "multifd_recv_packet",
            f"channel {idx % 2}",
            channel=idx % 2,
            bytes=MIB,
            kind="device",
            **place,
        )
        self.dst(
            at + 0.5, "vfio_load_state_device_buffer_incoming", f"channel {idx % 2}", queued=MIB, **place
        )
        self.dst(at + 1, "vfio_load_state_device_buffer_load_start", f"load {device}", bytes=MIB, **place)
        self.dst(at + 6, "vfio_load_state_device_buffer_load_end", f"load {device}", bytes=MIB, **place)

    def switchover(self) -> None:
        reached = {"src-downtime-start": 100, "src-vm-stopped": 105, "src-iterable-saved": 145}
        for checkpoint, ms in (reached | {"src-non-iterable-saved": 150}).items():
            self.src(ms, "vmstate_downtime_checkpoint", checkpoint=checkpoint)
        self.src(105, "vm_state", running=False, runnable=True)
        self.dst(152, "interrupt_controller_loaded")
        ends = {"loadvm-completed": 180, "bh-enter": 183, "bh-announced": 184, "bh-vm-started": 186}
        for checkpoint, ms in ends.items():
            self.dst(ms, "vmstate_downtime_checkpoint", checkpoint=f"dst-precopy-{checkpoint}")
        for device in self.devices:
            for what in ("data", "config"):
                self.dst(181, "verify", what=what, device=device, ok=True)
        self.dst(181, "verify", what="ram", ok=True)
        self.src(182, "vm_state", running=False, runnable=False)
        self.dst(186, "vm_state", running=True, runnable=True)
        self.src(190, "migrate_set_state", state="completed")

    def spoil(self, change: Callable[[Event], Event | None]) -> Story:
        """Pass every event through `change`; None takes it out."""
        self.source = [new for event in self.source if (new := change(event)) is not None]
        self.destination = [new for event in self.destination if (new := change(event)) is not None]
        return self

    def move(self, name: str, ms: float, device: int = 0) -> Story:
        """Have `name` of one device happen so much later (or earlier)."""

        def later(event: Event) -> Event:
            mine = event.event == name and event.get("device", self.devices[device]) == self.devices[device]
            return replace(event, t=event.t + ms / 1000) if mine else event

        return self.spoil(later)

    def without(self, *names: str) -> Story:
        """Take out all events of these names."""
        return self.spoil(lambda event: None if event.event in names else event)

    def joined(self) -> list[Event]:
        return join(sorted(self.source, key=_time), sorted(self.destination, key=_time))

    def result(self, end: RunEnd | None = None) -> Result:
        ended = RunEnd(exits={"source": 0, "destination": 0})
        return build_result(self.joined(), self.scenario, end or ended)

    def broken(self) -> list[str]:
        """The names of the invariants that do not hold."""
        return [invariant.name for invariant in self.result().broken()]


def _time(event: Event) -> float:
    return event.t
