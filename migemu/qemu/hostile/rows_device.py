"""Rows K: a device's packets, its config and the mark of the switchover."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.qemu.hostile.rows_ram import connected
from migemu.qemu.hostile.script import DATA, Script
from migemu.qemu.hostile.shape import CHANNELS
from migemu.qemu.hostile.table import Bench, Play, row
from migemu.wire import vfio as words
from migemu.wire.multifd import encode_device_header

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Script], bytes]

DEVICE = Bench(devices=1)
SLOW_WRITE = Bench(devices=1, model={0: {"write_rate": 32 << 10}})
"""Two seconds a buffer."""


def switched(s: Script) -> None:
    """Everything up to the device's state."""
    connected(s)
    s.round()
    s.switchover()


def rest(s: Script) -> None:
    """Everything after it."""
    s.sections()
    s.finish()
    s.told()


def _packets(*packets: Make) -> Play:
    """Those packets, one to a channel and around again, in place of the device's own."""

    def script(s: Script) -> None:
        switched(s)
        for number, packet in enumerate(packets):
            s.on(number % CHANNELS, packet(s))
        rest(s)

    return script


def _d(idx: int) -> Make:
    return lambda s: s.data(idx)


def _c(idx: int = len(DATA)) -> Make:
    return lambda s: s.config(idx)


def _short(s: Script) -> bytes:
    """A payload of 8 bytes, where 12 are the least."""
    packet = s.data(0)
    return packet[:272] + (8).to_bytes(4) + packet[276:284]


def _empty(s: Script) -> bytes:
    return s.data(0)[:272] + bytes(4)


def _no_bytes(s: Script) -> bytes:
    """A data packet that is nothing but its header."""
    return s.data(3, b"")


row("K0", "in order", DEVICE)(_packets(_d(0), _d(1), _d(2), _c()))
row("K1", "reversed", DEVICE)(_packets(_c(), _d(2), _d(1), _d(0)))


@row("K2", "config first, data late", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(3, s.config())
    s.pause()
    for idx in range(3):
        s.on(idx, s.data(idx))
    rest(s)


@row("K3", "idx 0 late", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(1), s.data(2), s.config())
    s.pause()
    s.on(1, s.data(0))
    rest(s)


row("K4", "the same idx twice, not yet loaded", DEVICE)(_packets(_d(1), _d(1), _d(0), _d(2), _c()))


@row("K5", "the same idx twice, loaded already", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0))
    s.pause()
    s.on(1, s.data(0))
    s.pause()
    s.on(2, s.data(1), s.data(2), s.config())
    rest(s)


row("K6", "an idx is missing", DEVICE)(_packets(_d(0), _d(2), _c()))
row("K7", "the config is missing", DEVICE)(_packets(_d(0), _d(1), _d(2)))


@row("K8", "all packets before SWITCHOVER_START", DEVICE)
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.device()
    s.pause()
    s.switchover()
    rest(s)


@row("K9", "before the setup SYNC", DEVICE)
def _(s: Script) -> None:
    s.connect()
    s.device()
    s.pause()
    s.setup()
    s.round()
    s.switchover()
    rest(s)


@row("K9b", "right after the setup SYNC", DEVICE)
def _(s: Script) -> None:
    connected(s)
    s.device()
    s.round()
    s.switchover()
    rest(s)


@row("K10", "after main's EOF", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.sections()
    s.ending()
    s.pause()
    s.device()
    s.commit()


row("K11", "version 1", DEVICE)(_packets(lambda s: s.data(0, version=1), _d(1), _d(2), _c()))
row("K12", "idx ffffffff", DEVICE)(_packets(lambda s: s.data(0xFFFFFFFF, DATA[0]), _d(1), _d(2), _c()))
row("K13", "config idx past a hole", DEVICE)(_packets(_d(0), _d(1), _d(2), _c(9)))


@row("K14", "a second config below the first", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0), s.config(1), s.data(2), s.config())
    rest(s)


@row("K15", "data idx past the config", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0), s.data(1), s.data(2), s.config(), s.data(4, DATA[0]))
    rest(s)


@row("K15b", "the config's idx below data that has come, not yet loaded", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(2), s.config(1))
    s.on(0, s.data(0))
    rest(s)


@row("K15c", "the config's idx below data that is loaded", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0), s.data(1), s.data(2))
    s.pause()
    s.on(0, s.config(1))
    rest(s)


@row("K15d", "the config's idx is that of the buffer being written", SLOW_WRITE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0), s.data(1), s.data(2))
    s.pause()
    s.on(0, s.config(0))
    s.pause()
    s.pause()  # the write is over before main ends
    rest(s)


row("K16", "a payload of 8 bytes", DEVICE)(_packets(_short, _d(1), _d(2), _c()))
row("K17", "a payload of no bytes", DEVICE)(_packets(_empty, _d(1), _d(2), _c()))
row("K17b", "a data packet that is only a header", DEVICE)(_packets(_d(0), _d(1), _d(2), _no_bytes, _c(4)))
row("K18", "unknown flag bits", DEVICE)(_packets(lambda s: s.data(0, flags=0x10), _d(1), _d(2), _c()))


def _bare(s: Script) -> bytes:
    """A config without its marks."""
    return s.config(data=b"x" * 40)


def _foreign(s: Script) -> bytes:
    """The config of a device of another vendor, or of another content."""
    other = bytearray(s.shape.config)
    other[4] ^= 0xFF
    return s.config(data=words.wrap_config(bytes(other)))


row("K23", "config without its marks", DEVICE)(_packets(_d(0), _d(1), _d(2), _bare))
row("K24", "another device's config", DEVICE)(_packets(_d(0), _d(1), _d(2), _foreign))


def _instance(s: Script) -> bytes:
    return encode_device_header(s.shape.devices[0], 7, 0, 0, len(DATA[0])) + DATA[0]


row("K27", "another instance", DEVICE)(_packets(_instance, _d(1), _d(2), _c()))
row("K28", "shuffled", DEVICE)(_packets(_d(1), _c(), _d(0), _d(2)))
