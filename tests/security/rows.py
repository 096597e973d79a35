"""The hostile-order table: what a source may do wrong, row by row, with the identifiers of the table.

Each row is a script and what must come of it: ``ok`` or a part of the error that names the cause. The same
rows were played against QEMU 7.2, 10.0 and 11.1; what those did stands beside ours in docs/reliability.md.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from migemu.wire import mainwriter, returnpath
from migemu.wire import vfio as words
from migemu.wire.hello import Hello
from migemu.wire.multifd import encode_ram_header, sync_packet
from security.scripted import CHANNELS, CONFIG, DATA, DEVICE, DEVICE_SECTION, PAGE, RAM_SECTION, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

LATE = 0.3
"""Seconds something comes late where the row says so: less than the destination's patience."""

Row = tuple[str, "Callable[[Scripted], None]", str]
ROWS: list[Row] = []


def row(name: str, outcome: str = "ok") -> Callable[[Callable[[Scripted], None]], Callable[[Scripted], None]]:
    """Add a row to the table."""

    def add(script: Callable[[Scripted], None]) -> Callable[[Scripted], None]:
        ROWS.append((name, script, outcome))
        return script

    return add


def connected(s: Scripted) -> None:
    s.connect()
    s.setup()


# A and B: what comes in another order, or late


def _order(*order: int | str) -> Callable[[Scripted], None]:
    def script(s: Scripted) -> None:
        s.connect(order)
        s.whole()

    return script


row("A0 main first, channels by id")(_order("main", 0, 1, 2, 3))
row("A1 all channels first, main last")(_order(0, 1, 2, 3, "main"))
row("A2 main first, channels reversed")(_order("main", 3, 2, 1, 0))
row("A3 main in the middle")(_order(0, 1, "main", 2, 3))


@row("B1 one channel connects late")
def _(s: Scripted) -> None:
    s.connect(("main", 0, 1, 2))
    time.sleep(LATE)
    s.connect((3,))
    s.whole()


@row("B2 a channel connects, its hello comes late")
def _(s: Scripted) -> None:
    s.connect(("main", 0, 1, 2))
    s.channels[3] = s.dial()
    time.sleep(LATE)
    s.on(3, Hello(bytes(range(16)), 3).encode())
    s.whole()


@row("B3 a hello in two halves")
def _(s: Scripted) -> None:
    s.connect(("main", 0, 1, 2))
    s.channels[3] = s.dial()
    hello = Hello(bytes(range(16)), 3).encode()
    s.on(3, hello[:30])
    time.sleep(LATE)
    s.on(3, hello[30:])
    s.whole()


@row("B4 hello sent, packets late")
def _(s: Scripted) -> None:
    s.connect()
    s.begin()
    s.sync((0, 1, 2))
    time.sleep(LATE)
    s.sync((3,))
    s.say(mainwriter.ram_flush(), mainwriter.ram_eos(), mainwriter.footer(RAM_SECTION))
    s.device_setup()
    _after_setup(s)


def _after_setup(s: Scripted) -> None:
    s.round()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


@row("B5 main connects late")
def _(s: Scripted) -> None:
    s.connect((0, 1, 2, 3))
    time.sleep(LATE)
    s.connect(("main",))
    s.whole()


@row("B6 main connected, silent for a while")
def _(s: Scripted) -> None:
    s.main = s.dial()
    s.connect((0, 1, 2, 3))
    time.sleep(LATE)
    s.say(mainwriter.file_header())
    s.whole()


@row("B7, B8 main's magic in two parts")
def _(s: Scripted) -> None:
    s.main = s.dial()
    s.connect((0, 1, 2, 3))
    s.say(b"QEV")
    time.sleep(LATE)
    s.say(b"M")
    time.sleep(LATE)
    s.say(mainwriter.file_header()[4:])
    s.whole()


@row("B9 a pause inside a packet")
def _(s: Scripted) -> None:
    connected(s)
    packet = s.pages(range(8))
    s.on(0, packet[:5000])
    time.sleep(LATE)
    s.on(0, packet[5000:])
    s.sync()
    s.barrier()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


@row("B10 byte by byte")
def _(s: Scripted) -> None:
    connected(s)
    for byte in s.pages((1,)):
        s.on(0, bytes([byte]))
    s.sync()
    s.barrier()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


# C: RAM packets out of their order


def _then(s: Scripted) -> None:
    """The rest of a migration after a pass over RAM."""
    s.sync()
    s.barrier()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


@row("C1 a data packet twice")
def _(s: Scripted) -> None:
    connected(s)
    packet = s.pages(range(8))
    s.on(0, packet, packet)
    _then(s)


@row("C2 two packets swapped")
def _(s: Scripted) -> None:
    connected(s)
    first, second = s.pages(range(8)), s.pages(range(8, 16))
    s.on(0, second, first)
    _then(s)


@row("C3 a packet on another channel")
def _(s: Scripted) -> None:
    connected(s)
    s.on(3, s.pages(range(8)))
    _then(s)


@row("C4 a packet behind the next SYNC, another barrier follows")
def _(s: Scripted) -> None:
    connected(s)
    s.sync()
    s.on(0, s.pages(range(8)))
    s.barrier()
    _then(s)


@row("C5 a data packet is lost", "data-intact: differs from what was saved: ram")
def _(s: Scripted) -> None:
    connected(s)
    s.on(0, s.pages(range(8)))
    s.pages(range(8, 16))
    _then(s)


@row("C6 data after the last SYNC")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.pages(range(8)))
    s.device()
    s.sections()
    time.sleep(LATE)
    s.finish()


@row("C6b the same, after the destination's check", "data-intact: differs from what was saved: ram")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.sections()
    late = s.pages(range(8))
    s.finish()
    s.on(0, late)


@row("C7 data before the setup SYNC")
def _(s: Scripted) -> None:
    s.connect()
    s.on(0, s.pages(range(8)))
    s.setup()
    _after_setup(s)


# D: connections that end


@row("D1, F10 a channel never connects", "missing multifd 3")
def _(s: Scripted) -> None:
    s.connect(("main", 0, 1, 2))
    s.hear(returnpath.SHUT)


@row("D2 hello, then closed", "channel 3")
def _(s: Scripted) -> None:
    s.connect()
    s.channels[3].close()
    s.setup((0, 1, 2))
    s.told()


@row("D3 closed between packets", "phase sync, channel 1: closed before the SYNC")
def _(s: Scripted) -> None:
    connected(s)
    s.channels[1].close()
    s.sync((0, 2, 3))
    s.barrier()
    s.told()


@row("D4 closed in a header", "channel 1: the stream ended inside a RAM packet's header")
def _(s: Scripted) -> None:
    connected(s)
    s.on(1, s.pages(range(8))[:500])
    s.channels[1].close()
    s.told()


@row("D5 closed in page data", "channel 1: the stream ended inside a RAM packet's pages")
def _(s: Scripted) -> None:
    connected(s)
    s.on(1, s.pages(range(8))[:5000])
    s.channels[1].close()
    s.told()


@row("D6 a channel is reset", "channel 1: connection failed")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.reset(1)
    s.told()


@row("D7 main closes in RAM", "main channel: ")
def _(s: Scripted) -> None:
    connected(s)
    s.say(mainwriter.section_part(RAM_SECTION))
    s.close()


@row("D8 main closes in the device tail", "main channel: ")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.say(mainwriter.section_full(99, "dma", 0, 1) + b"half of it")
    s.close()


@row("D9 the description is missing")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.sections()
    s.finish(vmdesc=False)


# E is about barriers


@row("E1, E2 a SYNC is withheld", "no SYNC within 0.8 s on multifd channel(s) [2]")
def _(s: Scripted) -> None:
    connected(s)
    s.sync((0, 1, 3))
    s.barrier()
    s.told()


@row("E3 the setup SYNC is withheld on one channel", "no SYNC within 0.8 s on multifd channel(s) [3]")
def _(s: Scripted) -> None:
    s.connect()
    s.setup((0, 1, 2))
    s.told()


@row("E4, E5 extra SYNCs, the channel's data comes a barrier later")
def _(s: Scripted) -> None:
    connected(s)
    s.sync((1,))
    s.on(1, s.pages(range(8)))
    s.round(32)
    s.sync((0, 2, 3))
    s.barrier()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


@row("E6 FLUSH words withheld after setup", "at a SYNC that no barrier word followed")
def _(s: Scripted) -> None:
    connected(s)
    s.sync()
    s.on(0, s.pages(range(8)))
    s.barrier(flushes=0)
    s.say(mainwriter.command(11))
    s.rest()
    s.sync()
    s.barrier(last=True, flushes=0)
    s.device()
    s.sections()
    s.finish()


@row("E8 a FLUSH word twice", "no SYNC within 0.8 s on multifd channel(s) [0, 1, 2, 3]")
def _(s: Scripted) -> None:
    connected(s)
    s.sync()
    s.barrier(flushes=2)
    s.told()


# F is about hellos


def _hello(raw: bytes) -> Callable[[Scripted], None]:
    """A wrong hello before the right ones: it is turned away and the migration is not disturbed."""

    def script(s: Scripted) -> None:
        s.connect(("main", 0, 1))
        wrong = s.dial()
        wrong.sendall(raw)
        assert s.refused(wrong)
        s.connect((2, 3))
        s.whole()

    return script


UUID = bytes(range(16))
row("F1 hello with id = N")(_hello(Hello(UUID, CHANNELS).encode()))
row("F2 hello with id > N")(_hello(Hello(UUID, 200).encode()))
row("F3 a hello's id is there already")(_hello(Hello(UUID, 1).encode()))
row("F4 a hello with another uuid")(_hello(Hello(bytes(16), 2).encode()))
row("F5 a hello of version 2")(_hello(b"\x11\x22\x33\x44\0\0\0\2" + Hello(UUID, 2).encode()[8:]))
row("F6 unknown magic")(_hello(b"GET / HTTP/1.1\r\n\r\n"))
row("F8 two main channels")(_hello(mainwriter.file_header()))


@row("F7 a hello's reserved bytes are set")
def _(s: Scripted) -> None:
    s.connect(("main", 0, 1, 2))
    s.channels[3] = s.dial()
    s.on(3, Hello(UUID, 3).encode()[:25] + b"\xff" * 39)
    s.whole()


@row("F11 more channels than there should be")
def _(s: Scripted) -> None:
    connected(s)
    extra = s.dial()
    extra.sendall(Hello(UUID, 4).encode())
    assert s.refused(extra)
    _after_setup(s)


@row("F12, F13 connections closed without a byte")
def _(s: Scripted) -> None:
    for _ in range(3):
        s.dial().close()
    s.connect(("main", 0, 1))
    s.dial().close()
    s.connect((2, 3))
    s.whole()


# H: packets that cannot be


def _packet(name: str, outcome: str, make: Callable[[Scripted], bytes]) -> None:
    @row(name, outcome)
    def _(s: Scripted) -> None:
        connected(s)
        s.on(1, make(s))
        s.told()


def _patched(at: int, value: bytes) -> Callable[[Scripted], bytes]:
    def make(s: Scripted) -> bytes:
        packet = s.pages(range(8), known=False)
        return packet[:at] + value + packet[at + len(value) :]

    return make


_packet("H1 packet with a bad magic", "channel 1: received packet magic", _patched(0, b"\1\2\3\4"))
_packet("H2 packet of version 2", "channel 1: received packet version 2", _patched(4, b"\0\0\0\2"))
_packet("H3 too many pages", "channel 1: received packet with 129 non-zero", _patched(16, b"\0\0\0\x81"))
_packet("H4 too many zero pages", "channel 1: received packet with 121 zero", _patched(32, b"\0\0\0\x79"))
_packet("H5 unknown RAM block", "unknown ram block", _patched(64, b"xy"))
_packet("H6 offset beyond the block", "offset", _patched(320, b"\0\0\0\0\1\0\0\0"))
_packet("H7 compressed packet", "compress", _patched(8, b"\0\0\0\2"))
_packet("H8 unaligned offset", "offset", _patched(320, (PAGE // 2).to_bytes(8)))
_packet("H9 device state for an unknown id", "unknown device", lambda s: s.data(0, device="nobody/vfio"))


@row("H10, H11, H12 unknown flag, wrong next_packet_size, odd packet_num")
def _(s: Scripted) -> None:
    connected(s)
    packet = s.pages(range(8))
    s.on(0, packet[:8], (0x100).to_bytes(4), packet[12:20], b"\0\0\1\0", bytes([255] * 8), packet[32:])
    _then(s)


@row("H14 a SYNC with a page")
def _(s: Scripted) -> None:
    connected(s)
    packet = s.pages((5,))
    s.on(0, packet[:8], (1).to_bytes(4), packet[12:])
    s.sync((1, 2, 3))
    s.barrier()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


@row("H15 a SYNC with stale fields")
def _(s: Scripted) -> None:
    connected(s)
    stale = encode_ram_header(sync_packet(9)._replace(block="old", pages_alloc=128, next_packet_size=4096))
    s.on(0, stale)
    s.sync((1, 2, 3))
    s.barrier()
    s.switchover()
    s.device()
    s.sections()
    s.finish()


# I: the main stream


def _main(name: str, outcome: str, *raw: bytes) -> None:
    @row(name, outcome)
    def _(s: Scripted) -> None:
        connected(s)
        s.say(*raw)
        s.told()


def _raw_command(number: int, data: bytes) -> bytes:
    return b"\x08" + number.to_bytes(2) + len(data).to_bytes(2) + data


_main("I2 unknown command", "main channel: unknown command 0xc", _raw_command(12, b""))
_main("I3 command of a wrong length", "main channel: command PING has 2 bytes", _raw_command(2, b"ab"))
_main("I6 unknown section", "main channel: ", mainwriter.section_part(77))
_main(
    "I7 wrong footer",
    "main channel, device ram: footer of section 9",
    mainwriter.section_part(2),
    mainwriter.ram_eos(),
    mainwriter.footer(9),
)
_main("I9 unknown record", "main channel: unknown record type 0x44", b"\x44")


@row("I4 PING without a return path", "main channel: PING before OPEN_RETURN_PATH")
def _(s: Scripted) -> None:
    s.connect()
    s.say(mainwriter.configuration("pc-q35-11.1"), mainwriter.ping(1))
    s.hear(returnpath.SHUT)


@row("I8 another machine type", "machine type pc-q35-10.0, this side is 11.1")
def _(s: Scripted) -> None:
    s.connect()
    s.begin("pc-q35-10.0")
    s.told()


@row("I10 the device's sections in another order")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    end = mainwriter.vfio_word(words.END_OF_STATE)
    s.say(
        mainwriter.section_full(17, "migemu-gic", 0, 1), mainwriter.sized_body(b"gic"), mainwriter.footer(17)
    )
    ready = mainwriter.vfio_word(words.CONFIG_LOAD_READY)
    s.say(mainwriter.section_full(DEVICE_SECTION, DEVICE, 0, 1), ready, mainwriter.footer(DEVICE_SECTION))
    s.say(mainwriter.section_end(DEVICE_SECTION), end, mainwriter.footer(DEVICE_SECTION))
    s.finish()


@row("I11 the interrupt controller's section is left out", "invariant config-after-iterables")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    ready = mainwriter.vfio_word(words.CONFIG_LOAD_READY)
    s.say(mainwriter.section_full(DEVICE_SECTION, DEVICE, 0, 1), ready, mainwriter.footer(DEVICE_SECTION))
    s.finish()


@row("I12 a device's section twice", "CONFIG_LOAD_READY came twice")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(1))  # not all of it: the device still waits when the mark comes again
    s.sections()
    ready = mainwriter.vfio_word(words.CONFIG_LOAD_READY)
    s.say(mainwriter.section_full(DEVICE_SECTION, DEVICE, 0, 1), ready, mainwriter.footer(DEVICE_SECTION))
    s.told()


# K: device state


def _device(name: str, outcome: str, *packets: Callable[[Scripted], bytes]) -> None:
    """Those packets, one to a channel and around again, in place of the device's own."""

    @row(name, outcome)
    def _(s: Scripted) -> None:
        connected(s)
        s.round()
        s.switchover()
        for number, packet in enumerate(packets):
            s.on(number % CHANNELS, packet(s))
        s.sections()
        s.finish()


def _d(idx: int) -> Callable[[Scripted], bytes]:
    return lambda s: s.data(idx)


def _c(idx: int = len(DATA)) -> Callable[[Scripted], bytes]:
    return lambda s: s.config(idx)


_device("K0 in order", "ok", _d(0), _d(1), _d(2), _c())
_device("K1 reversed", "ok", _c(), _d(2), _d(1), _d(0))
_device("K28 shuffled", "ok", _d(1), _c(), _d(0), _d(2))
_device("K4 the same idx twice", "idx 1: duplicate packet", _d(1), _d(1), _d(0), _d(2), _c())
_device("K6 an idx is missing", DEVICE, _d(0), _d(2), _c())
_device("K7 the config is missing", DEVICE, _d(0), _d(1), _d(2))
_device("K13 config idx past a hole", DEVICE, _d(0), _d(1), _d(2), _c(9))
_device("K17 a packet without payload", "empty device state packet", lambda s: s.data(0)[:272] + bytes(4))
_device("K14 two configs", "second config packet", _c(0), _c(1), _d(0))
_device("K18 unknown flag bits", "ok", lambda s: s.data(0, flags=0x10), _d(1), _d(2), _c())
_device("K23 config without its marks", "config", _d(0), _d(1), _d(2), lambda s: s.config(data=b"x" * 40))
_device(
    "K24 another config than was saved",
    "data-intact: differs from what was saved: config of",
    _d(0),
    _d(1),
    _d(2),
    lambda s: s.config(data=words.wrap_config(b"y" * len(CONFIG))),
)


@row("K2 config first, data late")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(3, s.config())
    time.sleep(LATE)
    for idx in range(3):
        s.on(idx, s.data(idx))
    s.sections()
    s.finish()


@row("K3 idx 0 late")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(1), s.data(2), s.config())
    time.sleep(LATE)
    s.on(1, s.data(0))
    s.sections()
    s.finish()


@row("K5 an idx that was loaded already", "duplicate packet")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(0))
    time.sleep(LATE)
    s.on(1, s.data(0))
    s.told()


@row("K8 all packets before SWITCHOVER_START")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.device()
    time.sleep(LATE)
    s.switchover()
    s.sections()
    s.finish()


@row("K9 before the setup SYNC")
def _(s: Scripted) -> None:
    s.connect()
    s.device()
    s.setup()
    s.round()
    s.switchover()
    s.sections()
    s.finish()


@row("K9b right after the setup SYNC")
def _(s: Scripted) -> None:
    connected(s)
    s.device()
    s.round()
    s.switchover()
    s.sections()
    s.finish()


@row("K10 after main's EOF")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.sections()
    s.ending()
    time.sleep(LATE)
    s.device()
    s.commit()


@row("K19 SWITCHOVER_START left out", "the stream ended without SWITCHOVER_START")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.rest()
    s.sync()
    s.barrier(last=True)
    s.device()
    s.sections()
    s.finish()


@row("K20 SWITCHOVER_START twice", "SWITCHOVER_START came twice")
def _(s: Scripted) -> None:
    connected(s)
    s.say(mainwriter.command(11), mainwriter.command(11))
    s.told()


@row("K21 SWITCHOVER_START before the first RAM PART")
def _(s: Scripted) -> None:
    connected(s)
    s.say(mainwriter.command(11))
    s.round()
    s.rest()
    s.sync()
    s.barrier(last=True)
    s.device()
    s.sections()
    s.finish()


@row("K25 nothing sent, channels closed", "every multifd channel has ended")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    for connection in s.channels.values():
        connection.close()
    s.sections()
    s.finish()


@row("K26 another channel is closed already")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.channels[2].close()
    s.on(0, s.data(0), s.data(1), s.data(2), s.config())
    s.sections()
    s.finish()


@row("K29 an idx far ahead of the next", "slots_per_device")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(0x7FFFFFFF, DATA[0]))
    s.sections()
    s.finish()


@row("K15 data idx past the config", "not below the config packet")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(0), s.data(1), s.config(), s.data(4, DATA[0]))
    s.told()


@row("K15b the config's idx below data that has come", "it must be the last")
def _(s: Scripted) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(7, DATA[0]), s.config())
    s.told()
