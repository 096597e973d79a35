"""Rows H and I: packets that cannot be, and a main stream that says what it should not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.qemu.hostile.rows_ram import connected
from migemu.qemu.hostile.script import DEVICE_SECTION, PAGE, RAM_SECTION, Script
from migemu.qemu.hostile.shape import SWITCHOVER_MARK
from migemu.qemu.hostile.table import Bench, row
from migemu.wire import mainwriter, returnpath
from migemu.wire.multifd import encode_device_header, encode_ram_header, sync_packet

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Script], bytes]


ZERO_PAGES = (9, 0)
"""The first version with zero pages in packets."""


def _packet(name: str, title: str, make: Make, bench: Bench | None = None) -> None:
    """Two rows: main goes on to the end after the packet, or to a barrier (``b``)."""

    @row(name, f"{title}, then main's end", bench)
    def _(s: Script) -> None:
        connected(s)
        s.on(1, make(s))
        s.pause()
        s.mark()
        s.sections()
        s.finish()
        s.told()

    @row(f"{name}b", f"{title}, then a barrier", bench)
    def _(s: Script) -> None:
        connected(s)
        s.on(1, make(s))
        s.pause()
        s.sync((0, 2, 3))
        s.barrier()
        s.told()


def _patched(at: int, value: bytes) -> Make:
    def make(s: Script) -> bytes:
        packet = s.pages(range(8))
        return packet[:at] + value + packet[at + len(value) :]

    return make


def _nobody(_s: Script) -> bytes:
    return encode_device_header("nobody/vfio", 0, 0, 0, PAGE) + bytes(PAGE)


_packet("H1", "bad magic", _patched(0, b"\1\2\3\4"))
_packet("H2", "version 2", _patched(4, b"\0\0\0\2"))
_packet("H3", "too many pages", _patched(16, b"\0\0\0\x81"))
_packet("H4", "too many zero pages", _patched(32, b"\0\0\0\x79"), Bench(oldest=ZERO_PAGES))
_packet("H5", "unknown RAM block", _patched(64, b"xy"))
_packet("H6", "offset beyond the block", _patched(320, b"\0\0\0\0\1\0\0\0"))
_packet("H7", "compressed packet", _patched(8, b"\0\0\0\2"))
_packet("H9", "device state for an unknown id", _nobody, Bench(oldest=SWITCHOVER_MARK))


@row("H8", "unaligned offset")
def _(s: Script) -> None:
    connected(s)
    packet = s.pages((0,))
    s.on(0, packet[:320], (PAGE // 2).to_bytes(8), packet[328:])
    s.ram.pages[0] = 0
    s.ram.pages[0, PAGE // 2 :] = s.ram.pages[1, : PAGE // 2] = s.version
    s.sent.add(1)
    s.sync()
    s.barrier()
    s.after_round()


@row("H10", "unknown flag, wrong next_packet_size, odd packet_num")
def _(s: Script) -> None:
    connected(s)
    packet = s.pages(range(8))
    s.on(0, packet[:8], (0x100).to_bytes(4), packet[12:20], b"\0\0\1\0", bytes([255] * 8), packet[32:])
    s.sync()
    s.barrier()
    s.after_round()


@row("H14", "a SYNC with a page")
def _(s: Script) -> None:
    connected(s)
    packet = s.pages((5,))
    s.on(0, packet[:8], (1).to_bytes(4), packet[12:])
    s.sync((1, 2, 3))
    s.barrier()
    s.after_round()


@row("H15", "a SYNC with stale fields")
def _(s: Script) -> None:
    connected(s)
    stale = sync_packet(9)._replace(block=s.shape.block, pages_alloc=128, next_packet_size=4096)
    s.on(0, encode_ram_header(stale))
    s.sync((1, 2, 3))
    s.barrier()
    s.after_round()


def _main(name: str, title: str, *raw: bytes) -> None:
    @row(name, title)
    def _(s: Script) -> None:
        connected(s)
        s.say(*raw)
        s.told()


def _raw_command(number: int, data: bytes) -> bytes:
    return b"\x08" + number.to_bytes(2) + len(data).to_bytes(2) + data


@row("I1", "SWITCHOVER_START twice, and no VFIO device")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.say(_raw_command(11, b""), _raw_command(11, b""))
    s.last_pass()
    s.sections()
    s.finish()


_main("I2", "unknown command", _raw_command(12, b""))
_main("I3", "a command of a wrong length", _raw_command(2, b"ab"))


@row("I4", "PING without a return path")
def _(s: Script) -> None:
    s.connect()
    s.say(mainwriter.configuration(s.shape.machine), mainwriter.ping(1))
    s.hear(returnpath.SHUT)


_main("I6", "unknown section", mainwriter.section_part(77))


@row("I7", "wrong footer")
def _(s: Script) -> None:
    connected(s)
    if not s.shape.flush:
        s.sync()
    s.say(mainwriter.section_part(RAM_SECTION), mainwriter.ram_eos(), mainwriter.footer(9))
    s.told()


@row("I8", "another machine type")
def _(s: Script) -> None:
    s.connect()
    s.begin("pc-q35-10.0" if s.shape.machine != "pc-q35-10.0" else "pc-q35-9.2")
    s.told()


_main("I9", "unknown record", b"\x44")


@row("I10", "a device's sections in another order", Bench(devices=1))
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.say(s.platform(), *s.device_fulls(), *s.device_ends())
    s.finish()


@row("I11", "the platform's section is left out")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.say(*s.device_fulls())
    s.finish()


@row("I12", "sections sent twice", Bench(devices=1))
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.say(*s.device_ends(), s.platform(), s.platform(), *s.device_fulls(), *s.device_fulls())
    s.finish()


@row("I13", "a device's first section twice", Bench(devices=1))
def _(s: Script) -> None:
    connected(s)
    s.say(mainwriter.section_start(DEVICE_SECTION, s.shape.devices[0], 0, 1))
    s.say(mainwriter.vfio_word(0xFFFFFFFFEF100003), mainwriter.vfio_word(0xFFFFFFFFEF100001))
    s.say(mainwriter.footer(DEVICE_SECTION))
    s.after_setup()
