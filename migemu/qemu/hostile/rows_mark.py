"""Rows K of the switchover's mark, and of channels and memory: what a device's packets depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.qemu.hostile.rows_device import DEVICE, rest, switched
from migemu.qemu.hostile.rows_ram import connected
from migemu.qemu.hostile.script import DATA
from migemu.qemu.hostile.table import Bench, row

if TYPE_CHECKING:
    from migemu.qemu.hostile.script import Script

TRANSFER_OFF = Bench(devices=1, properties={"x-migration-multifd-transfer": "off"})


@row("K19", "SWITCHOVER_START left out", DEVICE)
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.last_pass()
    s.device()
    s.pause()
    rest(s)


@row("K20", "SWITCHOVER_START twice", DEVICE)
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.mark()
    s.switchover()
    s.device()
    rest(s)


@row("K21", "SWITCHOVER_START before the first RAM PART", DEVICE)
def _(s: Script) -> None:
    connected(s)
    s.mark()
    s.round()
    s.last_pass()
    s.device()
    rest(s)


@row(
    "K22",
    "the destination's multifd transfer is off",
    TRANSFER_OFF,
)
def _(s: Script) -> None:
    switched(s)
    s.device()
    s.pause()
    rest(s)


@row("K25", "nothing sent, channels closed", DEVICE)
def _(s: Script) -> None:
    switched(s)
    for connection in s.channels.values():
        connection.close()
    rest(s)


@row("K26", "another channel is closed already", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.channels[2].close()
    s.on(0, s.data(0), s.data(1), s.data(2), s.config())
    rest(s)


@row("K29", "an idx far ahead of the next (3 million)", DEVICE)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(3_000_000, DATA[0]))
    s.pause()
    s.device()
    rest(s)
