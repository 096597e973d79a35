"""A destination without sockets, fed with records and packets in the order a story wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handoff.scene import Scene, Told
from migemu.destination.core import Core
from migemu.destination.plan import Plan
from migemu.errors import CancelledMigrationError, MigemuError
from migemu.handoff import handoff
from migemu.ram import GuestRam
from migemu.vfio.load import LoadDevice
from migemu.vfio.model import DeviceModel, Platform
from migemu.vfio.slots import BufferLimits
from migemu.vfio.virtual import VirtualSink
from migemu.wire import extension, records
from migemu.wire import vfio as words
from migemu.wire.buffers import Buffer
from migemu.wire.multifd import DevicePacket, sync_packet

if TYPE_CHECKING:
    from migemu.handoff.base import Handoff
    from migemu.threads.api import Threads
    from migemu.threads.sync import Bql

A, B = "0000:00:01.0/vfio", "0000:00:02.0/vfio"
LOAD_A, LOAD_B = f"load {A}", f"load {B}"
INCOMING = "incoming"
GIC = "migemu-gic"
RAM = records.Section("ram")
CONFIG_START, CONFIG_END = "vfio_load_device_config_state_start", "vfio_load_device_config_state_end"
LOAD_START, LOAD_END = "vfio_load_state_device_buffer_load_start", "vfio_load_state_device_buffer_load_end"
GIC_LOADED = "interrupt_controller_loaded"
STARTED = {"running": True}
STREAM = "the main channel filled"
"""What the incoming thread sleeps on when the stream stalls."""
NO_RAM = GuestRam.of_size(0)
BARRIER = "all channels at SYNC"


@dataclass
class Setting:
    """What a story needs beyond a design."""

    channels: int = 2
    patience: float | None = 20.0
    machine: str = "11.1"
    needs_interrupt_controller: bool = False


class Destination:
    """A destination core under `design`, with the devices A and B; a test drives it step by step."""

    def __init__(self, design: str | type[Handoff], setting: Setting, threads: Threads | None = None) -> None:
        self.scene = Scene()
        self.threads: Threads = self.scene if threads is None else threads
        self.type = handoff(design) if isinstance(design, str) else design
        self.design = self.type.design
        self.names = {A: 16, B: 17}
        self.replies: list[bytes] = []
        self.released: list[int] = []
        self.setting = setting
        platform = Platform(setting.needs_interrupt_controller, self.design.bql_for_config)
        self.core = Core(self._plan(platform), self.replies.append, self.released.append)
        self._ended = False

    def _plan(self, platform: Platform) -> Plan:
        def devices(bql: Bql) -> list[LoadDevice]:
            models = [DeviceModel(name=name) for name in self.names]
            return [LoadDevice(model, VirtualSink(), self.threads, bql.lock, platform) for model in models]

        return Plan(
            threads=self.threads,
            channels=self.setting.channels,
            machine_name=self.setting.machine,
            handoff=self.type,
            ram=NO_RAM,
            platform=platform,
            patience=self.setting.patience,
            limits=BufferLimits(),
            flow=None,
            interrupt_controller_load_time=0.0,
            devices=devices,
        )

    # the main channel

    def feed(self, *what: Any) -> None:
        """Put records on the main channel."""
        for record in what:
            self.core.queue.put(record)

    def begin(self) -> None:
        """The incoming thread runs and has read every device's setup."""
        self.core.start(self._end)
        self.setup()

    def setup(self) -> None:
        """The first records."""
        self.feed(records.FileHeader(), records.Configuration(self.setting.machine))
        for name, number in self.names.items():
            section = records.Section(name)
            self.feed(
                records.SectionStart(number, name, 0, 1),
                records.VfioWord(section, words.DEV_SETUP_STATE),
                records.VfioWord(section, words.END_OF_STATE),
                records.Footer(number),
            )

    def _end(self) -> None:
        self._ended = True
        self.scene.changed()

    def switchover(self) -> None:
        """MIG_CMD_SWITCHOVER_START."""
        self.feed(records.Command(11, b""))

    def switched(self) -> None:
        """...which the incoming thread has acted on."""
        self.switchover()
        self.scene.until_told("loadvm_process_command")
        self.scene.until_waits(INCOMING, STREAM)

    def precopy(self, device: str, data: bytes) -> None:
        """A PART of a device in pre-copy."""
        number, section = self.names[device], records.Section(device)
        self.feed(records.SectionPart(number), records.VfioData(section, Buffer.copy_of(data)))
        self.feed(records.VfioWord(section, words.END_OF_STATE), records.Footer(number))

    def end(self, device: str, *data: bytes) -> None:
        """SECTION_END of a device, with its data where that goes over the main channel."""
        number, section = self.names[device], records.Section(device)
        self.feed(
            records.SectionEnd(number),
            *(records.VfioData(section, Buffer.copy_of(piece)) for piece in data),
            records.VfioWord(section, words.END_OF_STATE),
            records.Footer(number),
        )

    def non_iterables_follow(self) -> None:
        """MIG_CMD_SEND_NON_ITERABLE."""
        self.feed(records.Command(extension.CMD_SEND_NON_ITERABLE, b""))

    def gic(self) -> None:
        """The interrupt controller's section, whole."""
        self.feed(records.SectionFull(99, GIC, 0, 1), records.Opaque(records.Section(GIC), b"gic"))
        self.feed(records.Footer(99))

    def full(self, device: str, *body: Any) -> None:
        """A device's own non-iterable section."""
        number = self.names[device]
        self.feed(records.SectionFull(number, device, 0, 1), *body, records.Footer(number))

    def empty_full(self, device: str) -> None:
        """...with nothing but its end."""
        self.full(device, records.VfioWord(records.Section(device), words.END_OF_STATE))

    def ready_full(self, device: str) -> None:
        """...with CONFIG_LOAD_READY."""
        self.full(device, records.VfioWord(records.Section(device), words.CONFIG_LOAD_READY))

    def config_full(self, device: str, config: bytes = b"config", count: int | None = 2) -> None:
        """...with the config, and the number of data buffers where they went over multifd."""
        section = records.Section(device)
        counted = [] if count is None else [records.VfioDataCount(section, count)]
        config_record = records.VfioConfig(section, config, sized=True)
        self.full(device, *counted, config_record, records.VfioWord(section, words.END_OF_STATE))

    def own_full(self, device: str) -> None:
        """...with what this design puts there."""
        if self.design.config == "main channel":
            self.config_full(device, count=2 if self.design.data == "multifd" else None)
        elif self.design.config_load_ready:
            self.ready_full(device)
        else:
            self.empty_full(device)

    def eof(self) -> None:
        self.feed(records.Eof())

    def rest(self) -> None:
        """Everything from the END sections to EOF, as this design's source writes it."""
        on_main = self.design.data == "main channel"
        for name in self.names:
            self.end(name, *(b"zero", b"one") if on_main else ())
        if self.design.send_non_iterable:
            self.non_iterables_follow()
        self.gic()
        for name in self.names:
            self.own_full(name)
        self.eof()

    def barrier_word(self) -> None:
        """MULTIFD_FLUSH in a PART of RAM."""
        self.feed(records.SectionPart(2), records.RamFlush(RAM), records.RamEos(RAM), records.Footer(2))

    # the multifd channels

    def data(self, channel: int, device: str, idx: int) -> bool:
        """Buffer `idx` of a device comes on `channel`."""
        payload = Buffer.copy_of(f"{device} {idx}".encode())
        return self.core.packet(channel, DevicePacket(device, 0, 0, idx, 0, payload))

    def config(self, channel: int, device: str, idx: int = 2) -> bool:
        """The config packet of a device comes on `channel`."""
        payload = Buffer.copy_of(words.wrap_config(b"config"))
        return self.core.packet(channel, DevicePacket(device, 0, 0, idx, words.FLAG_CONFIG, payload))

    def last(self, channel: int, device: str) -> None:
        """The config packet, where this design sends one."""
        if self.design.config == "multifd":
            self.config(channel, device)

    def whole(self, device: str, channel: int = 0) -> None:
        """All of a device: two buffers and the config."""
        if self.design.data == "multifd":
            self.data(channel, device, 0)
            self.data(channel, device, 1)
            self.last(channel, device)

    def sync(self, channel: int) -> None:
        """SYNC comes on `channel`."""
        self.core.packet(channel, sync_packet(0))
        self.core.at_sync(channel)

    # what came of it

    def until_over(self) -> None:
        """Wait until the incoming thread has ended."""
        self.scene.until(lambda: self._ended, "the migration over")

    def completes(self) -> None:
        """The migration ends well: the VM runs here."""
        self.until_over()
        assert self.core.abort.error is None, self.core.abort.error
        assert self.core.running

    def fails(self) -> MigemuError:
        """The migration ends with an error."""
        self.until_over()
        assert self.core.abort.error is not None
        return self.core.abort.error

    def order(self, event: str) -> list[str]:
        """The devices of all events of that name, in order."""
        return [told.device for told in self.scene.told(event)]

    def place(self, event: str, **fields: Any) -> int:
        """Where in the log the first such event stands."""
        return self.scene.events.index(self.scene.told(event, **fields)[0])

    def config_start(self, device: str) -> Told:
        (told,) = self.scene.told(CONFIG_START, device=device)
        return told

    def close(self) -> None:
        """End it, whatever it was doing; every thread must be gone."""
        self.scene.open_all()
        if not self._ended:
            self.core.failed(CancelledMigrationError("the story is over"))
        assert self.core.cleanup(10.0)
