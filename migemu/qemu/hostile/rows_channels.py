"""Rows A, B and F: connections in another order, late, and those that should not be there.

Every row's function is called ``_``: its name is the table's.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from migemu.qemu.hostile.shape import CHANNELS
from migemu.qemu.hostile.table import Bench, Play, row
from migemu.wire import mainwriter
from migemu.wire.hello import Hello

if TYPE_CHECKING:
    from migemu.qemu.hostile.script import Script


def _order(*order: int | str) -> Play:
    def script(s: Script) -> None:
        s.connect(order)
        s.whole()

    return script


row("A0", "main first, channels by id")(_order("main", 0, 1, 2, 3))
row("A1", "all channels first, main last")(_order(0, 1, 2, 3, "main"))
row("A2", "main first, channels reversed")(_order("main", 3, 2, 1, 0))
row("A3", "main in the middle")(_order(0, 1, "main", 2, 3))


@row("B1", "one channel connects late")
def _(s: Script) -> None:
    s.connect(("main", 0, 1, 2))
    s.pause()
    s.connect((3,))
    s.whole()


@row("B2", "a channel connects, its hello comes late")
def _(s: Script) -> None:
    s.connect(("main", 0, 1, 2))
    s.channels[3] = s.dial()
    s.pause()
    s.on(3, Hello(s.shape.uuid, 3).encode())
    s.whole()


@row("B3", "a hello in two halves")
def _(s: Script) -> None:
    s.connect(("main", 0, 1, 2))
    s.channels[3] = s.dial()
    hello = Hello(s.shape.uuid, 3).encode()
    s.on(3, hello[:30])
    s.pause()
    s.on(3, hello[30:])
    s.whole()


@row("B4", "hello sent, packets late")
def _(s: Script) -> None:
    s.connect()
    s.begin()
    s.sync((0, 1, 2))
    s.say(s.barrier_word(), mainwriter.ram_eos())
    s.pause()
    s.sync((3,))
    s.say(mainwriter.footer(2))
    s.device_setup()
    s.after_setup()


@row("B5", "main connects late")
def _(s: Script) -> None:
    s.connect((0, 1, 2, 3))
    s.pause()
    s.connect(("main",))
    s.whole()


@row("B6", "main connected, silent for a while")
def _(s: Script) -> None:
    s.main = s.dial()
    s.connect((0, 1, 2, 3))
    s.pause()
    s.say(mainwriter.file_header())
    s.whole()


def _magic_in_parts(at: int) -> Play:
    def script(s: Script) -> None:
        s.main = s.dial()
        s.connect((0, 1, 2, 3))
        s.say(mainwriter.file_header()[:at])
        s.pause()
        s.say(mainwriter.file_header()[at:])
        s.whole()

    return script


row("B7", "main's magic, then a pause")(_magic_in_parts(4))
row("B8", "three bytes of main's magic, then a pause")(_magic_in_parts(3))


@row("B9", "a pause inside a packet")
def _(s: Script) -> None:
    s.connect()
    s.setup()
    packet = s.pages(range(8))
    s.on(0, packet[:5000])
    s.sync((1, 2, 3))
    s.barrier()
    s.pause()
    s.on(0, packet[5000:])
    s.sync((0,))
    s.after_round()


@row("B10", "byte by byte")
def _(s: Script) -> None:
    s.connect()
    s.setup()
    for byte in s.pages((1,)):
        s.on(0, bytes([byte]))
    s.sync()
    s.barrier()
    s.after_round()


def _hello(raw: bytes | None, uuid: bytes | None = None, channel: int = 2) -> Play:
    """A wrong hello before the right ones."""

    def script(s: Script) -> None:
        s.connect(("main", 0, 1))
        wrong = s.dial()
        wrong.sendall(Hello(s.shape.uuid if uuid is None else uuid, channel).encode() if raw is None else raw)
        s.refused(wrong)
        s.connect((2, 3))
        s.whole()

    return script


row("F1", "a hello with id = N")(_hello(None, channel=CHANNELS))
row("F2", "a hello with id > N")(_hello(None, channel=200))
row("F3", "a hello's id is there already")(_hello(None, channel=1))
row("F4", "a hello with another uuid")(_hello(None, uuid=b"another uuid: 16"))
row("F6", "unknown magic")(_hello(b"GET / HTTP/1.1\r\n\r\n" + bytes(64)))
row("F8", "two main channels")(_hello(mainwriter.file_header()))


@row("F5", "a hello of version 2")
def _(s: Script) -> None:
    raw = Hello(s.shape.uuid, 2).encode()
    _hello(raw[:7] + b"\2" + raw[8:])(s)


@row("F7", "a hello's reserved bytes are set")
def _(s: Script) -> None:
    s.connect(("main", 0, 1, 2))
    s.channels[3] = s.dial()
    s.on(3, Hello(s.shape.uuid, 3).encode()[:25] + b"\xff" * 39)
    s.whole()


@row("F9", "one more connection while the migration runs")
def _(s: Script) -> None:
    s.connect()
    s.setup()
    extra = s.dial()
    extra.sendall(Hello(s.shape.uuid, CHANNELS).encode())
    s.refused(extra)
    s.after_setup()


@row("F11", "the destination has multifd off; what goes over its channels is lost", Bench(multifd=False))
def _(s: Script) -> None:
    s.connect(("main",))
    for channel in range(CHANNELS):  # each is closed at once: a source that does not look goes on
        with contextlib.suppress(OSError):
            s.hello(channel)
    s.begin()
    s.setup_barrier()
    s.pages(range(8))
    s.mark()
    s.barrier(last=True)
    s.sections()
    s.finish()


@row("F11b", "the same, a multifd channel comes first", Bench(multifd=False))
def _(s: Script) -> None:
    s.connect((0, "main", 1, 2, 3))
    s.whole()


@row("F12", "a connection closed without a byte, before all others")
def _(s: Script) -> None:
    s.dial().close()
    s.pause()
    s.connect()
    s.whole()


@row("F13", "the same after main and two channels")
def _(s: Script) -> None:
    s.connect(("main", 0, 1))
    s.dial().close()
    s.pause()
    s.connect((2, 3))
    s.whole()
