"""A source made of bytes: it can say everything a source can say, in any order, and things none should.

It speaks to a destination over real, blocking sockets, and knows what guest RAM and device state must be in
the end. The steps are small on purpose: a row of the hostile-order table is a few of them in an odd order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migemu.qemu.hostile.connections import Connections
from migemu.qemu.hostile.shape import CHANNELS
from migemu.ram import GuestRam
from migemu.wire import mainwriter, returnpath
from migemu.wire import vfio as words
from migemu.wire.multifd import NO_OFFSETS, encode_device_header, encode_ram_header, ram_packet, sync_packet
from migemu.wire.records import RamBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.qemu.hostile.shape import Shape

PAGES: Final = 64
"""Guest pages a script sends, the first of the block."""
PAGE: Final = 4096
DATA: Final = tuple(bytes([7 * n + 1]) * 65536 for n in range(3))
"""A device's stop-copy data, a packet each."""
RAM_SECTION, DEVICE_SECTION, PLATFORM_SECTION = 2, 16, 90
TIMER_VERSION, TIMER_BYTES = 2, 24


class Script(Connections):
    """A source whose every step is a row's.

    Args:
        address: where the destination listens.
        shape: what it is.
        did: what the destination's make-believe devices have done so far, where they can be asked.
    """

    def __init__(
        self, address: tuple[str, int], shape: Shape, did: Callable[[], Sequence[str]] = tuple
    ) -> None:
        super().__init__(address, shape)
        self.did = did
        self.complaint = ""
        """What the row itself found wrong although the migration completed."""
        self.ram = GuestRam.of_size(PAGES * PAGE)
        self.given = dict.fromkeys(shape.devices, b"".join(DATA))
        """What each device must have been given in the end."""
        self.version = 0
        self.sent: set[int] = set()
        self.numbers = 0

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.ram.close()

    def begin(self, machine: str | None = None) -> None:
        """CONFIGURATION, the way back, RAM's blocks."""
        self.say(mainwriter.configuration(machine or self.shape.machine))
        self.announce()
        self.say(mainwriter.command(1), mainwriter.ping(1))
        self.say(mainwriter.section_start(RAM_SECTION, "ram", 0, 4))
        self.say(mainwriter.ram_blocks([RamBlock(self.shape.block, self.shape.ram_bytes)]))

    def announce(self) -> None:
        """What a source says before all else; a QEMU nothing."""

    def setup(self, syncs: Sequence[int] = range(CHANNELS)) -> None:
        """Everything before the first page; the barrier is told to `syncs`."""
        self.begin()
        self.sync(syncs)
        self.setup_barrier()

    def setup_barrier(self) -> None:
        """The main channel's side of the first barrier, and the devices' first sections."""
        self.say(self.barrier_word(), mainwriter.ram_eos(), mainwriter.footer(RAM_SECTION))
        self.device_setup()

    def barrier_word(self) -> bytes:
        """What stands before EOS at a barrier: where EOS is the word, nothing."""
        return mainwriter.ram_flush() if self.shape.flush else b""

    def device_setup(self) -> None:
        """The devices' first sections."""
        body = mainwriter.vfio_word(words.DEV_SETUP_STATE) + mainwriter.vfio_word(words.END_OF_STATE)
        for section, device in enumerate(self.shape.devices, DEVICE_SECTION):
            head = mainwriter.section_start(section, device, 0, 1)
            self.say(head, body, mainwriter.footer(section))

    def pages(self, numbers: Sequence[int], *, known: bool = True) -> bytes:
        """A RAM packet with new content for those pages; `known`: it must be there in the end."""
        self.version += 1
        content = np.full((len(numbers), PAGE), self.version, np.uint8)
        if known:
            self.ram.pages[list(numbers)] = content
            self.sent |= set(numbers)
        offsets = np.array([number * PAGE for number in numbers], np.uint64)
        packet = ram_packet(self.shape.block, offsets, NO_OFFSETS, self.next_number())
        return encode_ram_header(packet) + content.tobytes()

    def next_number(self) -> int:
        """The next packet_num."""
        self.numbers += 1
        return self.numbers

    def sync(self, channels: Iterable[int] = range(CHANNELS)) -> None:
        """SYNC on those channels."""
        for channel in channels:
            self.on(channel, encode_ram_header(sync_packet(self.next_number())))

    def barrier(self, *, last: bool = False, flushes: int = 1) -> None:
        """The main channel's side of a barrier."""
        head = mainwriter.section_end if last else mainwriter.section_part
        self.say(head(RAM_SECTION), self.barrier_word() * flushes, mainwriter.ram_eos())
        self.say(mainwriter.footer(RAM_SECTION))

    def round(self, first: int = 0) -> None:
        """A pass over RAM: a packet on each channel, then the barrier."""
        for channel in range(CHANNELS):
            self.on(channel, self.pages(range(first + channel * 8, first + channel * 8 + 8)))
        self.sync()
        self.barrier()

    def mark(self) -> None:
        """SWITCHOVER_START, where it is known."""
        if self.shape.mark:
            self.say(mainwriter.command(11))

    def switchover(self) -> None:
        """SWITCHOVER_START and the last pass: every page that was not sent so far."""
        self.mark()
        self.last_pass()

    def last_pass(self) -> None:
        """What is left of RAM, and the last barrier."""
        self.rest()
        self.sync()
        self.barrier(last=True)

    def rest(self) -> None:
        """The pages that were not sent so far: each must have been, once."""
        left = sorted(set(range(PAGES)) - self.sent)
        self.on(3, self.pages(left))

    def data(self, idx: int, payload: bytes | None = None, flags: int = 0, **more: Any) -> bytes:
        """A device-state packet: one of DATA, or what is given; of the first device, or of another."""
        payload = DATA[idx] if payload is None else payload
        device, instance = more.pop("device", None) or self.shape.devices[0], more.pop("instance", 0)
        return encode_device_header(device, instance, idx, flags, len(payload), **more) + payload

    def config(self, idx: int = len(DATA), data: bytes | None = None, **more: Any) -> bytes:
        """The config packet."""
        content = words.wrap_config(self.shape.config) if data is None else data
        return self.data(idx, content, flags=1, **more)

    def device(self) -> None:
        """All of each device, spread over the channels."""
        for device in self.shape.devices:
            for idx in range(len(DATA)):
                self.on(idx % CHANNELS, self.data(idx, device=device))
            self.on(3, self.config(device=device))

    def sections(self) -> None:
        """END of the devices, the platform's section, the devices' own."""
        self.say(*self.device_ends(), self.platform(), *self.device_fulls())

    def device_ends(self) -> list[bytes]:
        """SECTION_END of the devices."""
        body = mainwriter.vfio_word(words.END_OF_STATE)
        numbers = [DEVICE_SECTION + n for n in range(len(self.shape.devices))]
        return [mainwriter.section_end(n) + body + mainwriter.footer(n) for n in numbers]

    def platform(self) -> bytes:
        """A section of the machine's own: QEMU's ``timer``, which every machine has."""
        head = mainwriter.section_full(PLATFORM_SECTION, "timer", 0, TIMER_VERSION)
        return head + bytes(TIMER_BYTES) + mainwriter.footer(PLATFORM_SECTION)

    def device_fulls(self) -> list[bytes]:
        """SECTION_FULL of the devices."""
        body = mainwriter.vfio_word(words.CONFIG_LOAD_READY if self.shape.ready else words.END_OF_STATE)
        return [
            mainwriter.section_full(section, device, 0, 1) + body + mainwriter.footer(section)
            for section, device in enumerate(self.shape.devices, DEVICE_SECTION)
        ]

    def finish(self, *, vmdesc: bool = True) -> None:
        """The end of the stream, and the goodbye."""
        self.ending(vmdesc=vmdesc)
        self.commit()

    def ending(self, *, vmdesc: bool = True) -> None:
        """EOF, the description."""
        described = {"page_size": PAGE, "devices": []}
        self.say(mainwriter.eof(), mainwriter.vmdesc(described) if vmdesc else b"")

    def commit(self) -> None:
        """Hear what came of it."""
        self.hear(returnpath.SHUT)

    def after_setup(self) -> None:
        """The rest of a migration as it should be."""
        self.round()
        self.after_round()

    def after_round(self) -> None:
        """The rest of it after a pass over RAM."""
        self.switchover()
        self.device()
        self.sections()
        self.finish()

    def whole(self) -> None:
        """A migration as it should be, from after the connections."""
        self.setup()
        self.after_setup()
