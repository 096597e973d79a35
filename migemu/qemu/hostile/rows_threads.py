"""Rows L: what load threads, locks, memory and failing devices make of an order; the catalogue asks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from migemu.qemu.hostile.rows_device import rest, switched
from migemu.qemu.hostile.rows_ram import connected
from migemu.qemu.hostile.script import DATA, DEVICE_SECTION
from migemu.qemu.hostile.table import Bench, Play, row
from migemu.wire import mainwriter
from migemu.wire import vfio as words

if TYPE_CHECKING:
    from migemu.qemu.hostile.script import Script

AFTER_ITER = (10, 1)
"""The first version whose devices can wait for CONFIG_LOAD_READY, and whose queue can have a limit."""

CONFIG_LOAD = "vfio_pci_write_config"
"""What a make-believe device says when its config is loaded."""

MIB = bytes(1 << 20)
PRECOPY = b"precopy" * 1000
SLOW = {0: {"config_load_ns": 2_000_000_000}}
QUICK = {0: {"config_load_ns": 1_000_000}}


def _platform_late(s: Script) -> None:
    switched(s)
    s.device()
    s.pause()
    if CONFIG_LOAD in s.did():
        s.complaint = "the config was loaded before the platform's section was there"
    rest(s)


READY = Bench(1, QUICK, oldest=AFTER_ITER, ready=True)
row("L1", "what the platform needs comes after the device's config", Bench(1, QUICK))(_platform_late)
row("L2", "the same, the device waits for CONFIG_LOAD_READY", READY)(_platform_late)


@row("L3", "pre-copy data on main after the device's packets", Bench(1, {0: {"precopy": True}}))
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.device()
    s.pause()
    s.given[s.shape.devices[0]] = PRECOPY + b"".join(DATA)
    data = mainwriter.vfio_data_header(len(PRECOPY)) + PRECOPY
    s.say(mainwriter.section_part(DEVICE_SECTION), data)
    s.say(mainwriter.vfio_word(words.END_OF_STATE), mainwriter.footer(DEVICE_SECTION))
    s.switchover()
    rest(s)


@row("L4", "main closes while a config is loaded", Bench(1, SLOW))
def _(s: Script) -> None:
    switched(s)
    s.device()
    s.pause()
    s.close()


@row("L5", "main closes while a load thread waits for a buffer", Bench(1))
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0))
    s.pause()
    s.reset("main")


@row("L6", "every connection is closed right after SWITCHOVER_START", Bench(1))
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.mark()
    s.close()


@row("L7", "channels are reset after main's end, data is missing", Bench(1))
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0))
    s.sections()
    s.ending()
    s.pause()
    for channel in s.channels:
        s.reset(channel)
    s.commit()


@row("L8", "a device refuses a write", Bench(1, {0: {"write_error_at": 1000}}))
def _(s: Script) -> None:
    switched(s)
    s.device()
    rest(s)


@row("L9", "a device refuses a write while another waits for data", Bench(2, {0: {"write_error_at": 1000}}))
def _(s: Script) -> None:
    switched(s)
    first, second = s.shape.devices
    for idx in range(len(DATA)):
        s.on(0, s.data(idx, device=first))
    s.on(0, s.config(device=first))
    s.on(1, s.data(0, device=second))
    rest(s)


@row("L9b", "the same, main has ended when it refuses", Bench(2, {0: {"write_error_at": 1000}}))
def _(s: Script) -> None:
    switched(s)
    s.on(1, s.data(0, device=s.shape.devices[1]))
    s.sections()
    s.ending()
    s.pause()
    s.on(0, s.data(0))
    s.commit()


@row(
    "L10",
    "a device refuses a write, and main stays open without a word",
    Bench(2, {0: {"write_error_at": 1000}}),
)
def _(s: Script) -> None:
    switched(s)
    s.on(0, s.data(0))
    s.pause()


@row("L11", "a stray packet while its config waits for the BQL, before a barrier", Bench(1))
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.mark()
    s.barrier()  # main waits there, with the BQL
    s.on(1, s.data(0), s.data(1), s.data(2), s.config())
    s.pause()
    s.on(1, s.data(4, DATA[0]))
    s.sync()
    s.last_pass()
    rest(s)


@row("L12", "the last SYNC without its FLUSH, device packets behind it", Bench(1))
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.mark()
    s.rest()
    s.sync()
    s.barrier(last=True, flushes=0)
    s.device()
    rest(s)


@row("L13", "an older copy of a page comes late, a newer one waits behind a barrier")
def _(s: Script) -> None:
    connected(s)
    old, new = s.pages((5,)), s.pages((5,))
    s.sync((1, 2, 3))
    s.on(1, new)
    s.barrier()
    s.pause()
    s.on(0, old)
    s.sync((0,))
    s.sync()
    s.barrier()
    s.after_round()


@row("L14", "two devices crossed on two channels", Bench(2))
def _(s: Script) -> None:
    switched(s)
    one, two = s.shape.devices
    s.on(0, s.data(1, device=one), s.data(0, device=two))
    s.pause()
    s.on(1, s.data(1, device=two), s.data(0, device=one))
    for device in s.shape.devices:
        s.on(2, s.data(2, device=device), s.config(device=device))
    rest(s)


def _first_late(count: int) -> Play:
    """`count` buffers of 1 MiB, the first of them last."""

    def script(s: Script) -> None:
        switched(s)
        s.given[s.shape.devices[0]] = MIB * count
        for idx in range(1, count):
            s.on(idx % 4, s.data(idx, MIB))
        s.on(3, s.config(count))
        s.pause()
        with contextlib.suppress(ConnectionError):  # where the limit was met
            s.on(1, s.data(0, MIB))
        rest(s)

    return script


CAPPED = Bench(1, properties={"x-migration-max-queued-buffers-size": "8M"}, oldest=AFTER_ITER)
row("L15", "the first of 64 MiB comes last", Bench(1))(_first_late(64))
row("L16", "the same, the queue's limit is 8 MiB", CAPPED)(_first_late(64))


@row("L17", "a device takes what it likes of each write", Bench(1, {0: {"write_partial": True}}))
def _(s: Script) -> None:
    switched(s)
    s.device()
    rest(s)
