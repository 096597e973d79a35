"""A source made of bytes: it can say everything a source can say, in any order, and things none should.

It speaks to a destination over real sockets and knows what guest RAM and device state must be in the end.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from migemu.ram import GuestRam, PageDigests
from migemu.vfio.content import digest_maker
from migemu.wire import extension, mainwriter, returnpath
from migemu.wire import vfio as words
from migemu.wire.hello import Hello
from migemu.wire.multifd import NO_OFFSETS, encode_device_header, encode_ram_header, ram_packet, sync_packet
from migemu.wire.records import RamBlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

DEVICE = "0000:00:01.0/vfio"
BLOCK = "pc.ram"
CHANNELS = 4
PAGES = 64
PAGE = 4096
DATA = [bytes([7 * n + 1]) * 65536 for n in range(3)]
CONFIG = b"config" * 40
UUID = bytes(range(16))
RAM_SECTION, DEVICE_SECTION, GIC_SECTION = 2, 16, 17
SECONDS = 10.0
"""How long the script waits for the destination's words."""
RESET = struct.pack("ii", 1, 0)


class Scripted:
    """A source whose every step is the test's.

    Args:
        address: where the destination listens.
        extended: announce migemu's extension, and keep its promises (digests, START).
    """

    def __init__(self, address: tuple[str, int], *, extended: bool = True) -> None:
        self._address = address
        self.extended = extended
        self.main: socket.socket | None = None
        self.channels: dict[int, socket.socket] = {}
        self.ram = GuestRam.of_size(PAGES * PAGE)
        self.version = 0
        self.sent: set[int] = set()
        self.numbers = 0
        self.reader = returnpath.ReturnPathReader()
        self.messages: list[returnpath.Message] = []
        self.others: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.ram.close()

    def close(self) -> None:
        """Close every connection."""
        for connection in [self.main, *self.channels.values(), *self.others]:
            if connection is not None:
                connection.close()

    # connections

    def dial(self) -> socket.socket:
        """One more connection."""
        made = socket.create_connection(self._address, SECONDS)
        self.others.append(made)
        return made

    def connect(self, order: Iterable[int | str] = ("main", *range(CHANNELS)), pause: float = 0.02) -> None:
        """Connect the channels in that order, each after the one before has arrived."""
        for place in order:
            if place == "main":
                self.main = self.dial()
                self.main.sendall(mainwriter.file_header())
            else:
                self.hello(int(place))
            time.sleep(pause)

    def hello(self, channel: int, uuid: bytes = UUID) -> None:
        """A multifd channel, greeted."""
        self.channels[channel] = self.dial()
        self.channels[channel].sendall(Hello(uuid, channel).encode())

    def say(self, *parts: bytes) -> None:
        """On the main channel."""
        assert self.main is not None
        self.main.sendall(b"".join(parts))

    def on(self, channel: int, *parts: bytes) -> None:
        """On a multifd channel."""
        self.channels[channel].sendall(b"".join(parts))

    def reset(self, channel: int | str) -> None:
        """Have the kernel reset a connection."""
        victim = self.main if channel == "main" else self.channels[int(channel)]
        assert victim is not None
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        victim.close()

    # what a source says, in its order

    def begin(self, machine: str = "pc-q35-11.1") -> None:
        """CONFIGURATION, the announcement, the way back, RAM's blocks."""
        self.say(mainwriter.configuration(machine))
        if self.extended:
            said = extension.encode_announcement("0.1.0", extension.FEATURES)
            self.say(mainwriter.command(extension.CMD_EXTENSION, said))
        self.say(mainwriter.command(1), mainwriter.ping(1))
        self.say(mainwriter.section_start(RAM_SECTION, "ram", 0, 4))
        self.say(mainwriter.ram_blocks([RamBlock(BLOCK, PAGES * PAGE)]))

    def setup(self, syncs: Sequence[int] = range(CHANNELS)) -> None:
        """Everything before the first page; the barrier is told to `syncs`."""
        self.begin()
        self.sync(syncs)
        self.say(mainwriter.ram_flush(), mainwriter.ram_eos(), mainwriter.footer(RAM_SECTION))
        self.device_setup()

    def device_setup(self) -> None:
        """The device's first section."""
        body = mainwriter.vfio_word(words.DEV_SETUP_STATE) + mainwriter.vfio_word(words.END_OF_STATE)
        head = mainwriter.section_start(DEVICE_SECTION, DEVICE, 0, 1)
        self.say(head, body, mainwriter.footer(DEVICE_SECTION))

    def pages(self, numbers: Sequence[int], *, known: bool = True) -> bytes:
        """A RAM packet with new content for those pages; `known`: it must be there in the end."""
        self.version += 1
        content = np.full((len(numbers), PAGE), self.version, np.uint8)
        if known:
            self.ram.pages[list(numbers)] = content
            self.sent |= set(numbers)
        offsets = np.array([number * PAGE for number in numbers], np.uint64)
        packet = ram_packet(BLOCK, offsets, NO_OFFSETS, self.next_number())
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
        self.say(head(RAM_SECTION), mainwriter.ram_flush() * flushes, mainwriter.ram_eos())
        self.say(mainwriter.footer(RAM_SECTION))

    def round(self, first: int = 0) -> None:
        """A pass over RAM: a packet on each channel, then the barrier."""
        for channel in range(CHANNELS):
            self.on(channel, self.pages(range(first + channel * 8, first + channel * 8 + 8)))
        self.sync()
        self.barrier()

    def switchover(self) -> None:
        """SWITCHOVER_START and the last pass: every page that was not sent so far."""
        self.say(mainwriter.command(11))
        self.rest()
        self.sync()
        self.barrier(last=True)

    def rest(self) -> None:
        """The pages that were not sent so far: each must have been, once."""
        left = sorted(set(range(PAGES)) - self.sent)
        self.on(3, self.pages(left))

    def data(self, idx: int, payload: bytes | None = None, flags: int = 0, **more: Any) -> bytes:
        """A device-state packet: one of DATA, or what is given."""
        payload = DATA[idx] if payload is None else payload
        device, instance = more.pop("device", DEVICE), more.pop("instance", 0)
        return encode_device_header(device, instance, idx, flags, len(payload), **more) + payload

    def config(self, idx: int = len(DATA), data: bytes | None = None) -> bytes:
        """The config packet."""
        return self.data(idx, words.wrap_config(CONFIG) if data is None else data, flags=1)

    def device(self) -> None:
        """All of the device, spread over the channels."""
        for idx in range(len(DATA)):
            self.on(idx % CHANNELS, self.data(idx))
        self.on(3, self.config())

    def sections(self) -> None:
        """END of the device, the interrupt controller, the device's own section."""
        end = mainwriter.vfio_word(words.END_OF_STATE)
        self.say(mainwriter.section_end(DEVICE_SECTION), end, mainwriter.footer(DEVICE_SECTION))
        self.say(mainwriter.section_full(GIC_SECTION, "migemu-gic", 0, 1), mainwriter.sized_body(b"gic"))
        self.say(mainwriter.footer(GIC_SECTION))
        ready = mainwriter.vfio_word(words.CONFIG_LOAD_READY)
        self.say(mainwriter.section_full(DEVICE_SECTION, DEVICE, 0, 1), ready)
        self.say(mainwriter.footer(DEVICE_SECTION))

    def digests(self) -> dict[str, Any]:
        """What must have arrived."""
        data, config = digest_maker("xxh3_128")(), digest_maker("xxh3_128")()
        data.update(b"".join(DATA))
        config.update(CONFIG)
        ram = PageDigests(PAGES, "source")
        ram.update_in_place(self.ram, np.array(sorted(self.sent), np.int64))
        device = {"data": data.hexdigest(), "bytes": 3 * 65536, "config": config.hexdigest()}
        return {"devices": {DEVICE: device}, "ram": ram.digest()}

    def finish(self, *, vmdesc: bool = True) -> None:
        """The end of the stream, then START when everything is loaded, and the goodbye."""
        self.ending(vmdesc=vmdesc)
        self.commit()

    def ending(self, *, vmdesc: bool = True) -> None:
        """Digests, EOF, the description."""
        if self.extended:
            for part in extension.split_parts(json.dumps(self.digests()).encode()):
                self.say(mainwriter.command(extension.CMD_DIGESTS, part))
        described = {"page_size": PAGE, "devices": []}
        self.say(mainwriter.eof(), mainwriter.vmdesc(described) if vmdesc else b"")

    def commit(self) -> None:
        """Give the VM up once it is loaded there."""
        if self.extended and self.hear(returnpath.LOADED):
            self.say(mainwriter.command(extension.CMD_START))
        self.hear(returnpath.SHUT)

    def whole(self) -> None:
        """A migration as it should be, from after the connections."""
        self.setup()
        self.round()
        self.switchover()
        self.device()
        self.sections()
        self.finish()

    # what the destination says

    def refused(self, connection: socket.socket) -> bool:
        """Whether the destination closes or resets this connection."""
        try:
            return connection.recv(1) == b""
        except ConnectionError:
            return True

    def hear(self, kind: int) -> bool:
        """Read the return path until that message; False when the destination failed or closed instead."""
        assert self.main is not None
        while True:
            if any(message.type == kind for message in self.messages):
                return True
            if any(message.type == returnpath.FAILED for message in self.messages):
                return False
            try:
                said = self.main.recv(65536)
            except OSError:
                return False
            if not said:
                return False
            self.messages += self.reader.feed(said)

    def told(self) -> str:
        """The destination's reason for failing, if it gave one."""
        self.hear(returnpath.FAILED)
        return "".join(m.data.decode() for m in self.messages if m.type == returnpath.FAILED)
