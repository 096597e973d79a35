"""Rows C, D and E: RAM packets and barriers out of their order, connections that end."""

from __future__ import annotations

from migemu.qemu.hostile.script import DATA, RAM_SECTION, Script
from migemu.qemu.hostile.table import FLUSH_WORD, Bench, row
from migemu.wire import mainwriter, returnpath

PER_SECTION = Bench(oldest=FLUSH_WORD)
"""A FLUSH word can be left out or doubled only where there is one."""


def connected(s: Script) -> None:
    """Everything up to the first page; the destination has every channel, and reads main."""
    s.connect()
    s.setup()
    s.hear(returnpath.PONG)


def _then(s: Script) -> None:
    """The rest of a migration after the packets of a pass over RAM."""
    s.sync()
    s.barrier()
    s.after_round()


@row("C1", "a data packet twice")
def _(s: Script) -> None:
    connected(s)
    packet = s.pages(range(8))
    s.on(0, packet, packet)
    _then(s)


@row("C2", "two packets swapped")
def _(s: Script) -> None:
    connected(s)
    first, second = s.pages(range(8)), s.pages(range(8, 16))
    s.on(0, second, first)
    _then(s)


@row("C3", "a packet on another channel")
def _(s: Script) -> None:
    connected(s)
    s.on(3, s.pages(range(8)))
    _then(s)


@row("C4", "a packet behind the next SYNC, another barrier follows")
def _(s: Script) -> None:
    connected(s)
    s.sync()
    s.on(0, s.pages(range(8)))
    s.barrier()
    _then(s)


@row("C5", "a data packet is lost")
def _(s: Script) -> None:
    connected(s)
    s.on(0, s.pages(range(8)))
    s.pages(range(8, 16))
    _then(s)


@row("C6", "data after the last SYNC")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.pages(range(8)))
    s.device()
    s.sections()
    s.pause()
    s.finish()


@row("C6b", "the same, after the destination's last word")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.sections()
    late = s.pages(range(8))
    s.finish()
    s.on(0, late)


@row("C7", "data before the setup SYNC")
def _(s: Script) -> None:
    s.connect()
    s.on(0, s.pages(range(8)))
    s.pause()
    s.setup()
    s.after_setup()


@row("D1", "a channel never connects")
def _(s: Script) -> None:
    s.connect(("main", 0, 1, 2))
    s.hear(returnpath.SHUT)


@row("D2", "hello, then closed")
def _(s: Script) -> None:
    s.connect()
    s.channels[3].close()
    s.setup((0, 1, 2))
    s.told()


@row("D3", "closed between packets, before a barrier")
def _(s: Script) -> None:
    connected(s)
    s.channels[1].close()
    s.sync((0, 2, 3))
    s.barrier()
    s.told()


def _cut(name: str, title: str, size: int) -> None:
    @row(name, title)
    def _(s: Script) -> None:
        connected(s)
        s.on(1, s.pages(range(8))[:size])
        s.channels[1].close()
        s.sync((0, 2, 3))
        s.barrier()
        s.told()


_cut("D4", "closed in a header", 500)
_cut("D5", "closed in page data", 5000)


@row("D6", "a channel is reset before a barrier")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.reset(1)
    s.pause()
    s.sync((0, 2, 3))
    s.barrier()
    s.told()


@row("D6b", "a channel is reset after the last barrier")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    for idx in range(len(DATA) if s.shape.devices else 0):
        s.on(0, s.data(idx))
    s.pause()
    s.reset(1)
    s.pause()
    s.sections()
    s.finish()


@row("D7", "main closes in RAM")
def _(s: Script) -> None:
    connected(s)
    s.say(mainwriter.section_part(RAM_SECTION))
    s.close()


@row("D8", "main closes in the device tail")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.say(s.platform()[:-10])
    s.close()


@row("D9", "the description is missing")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.switchover()
    s.device()
    s.sections()
    s.finish(vmdesc=False)
    s.close()


@row("E1", "a SYNC is withheld in the middle")
def _(s: Script) -> None:
    connected(s)
    s.sync((0, 1, 3))
    s.barrier()
    s.told()


@row("E2", "the last SYNC is withheld")
def _(s: Script) -> None:
    connected(s)
    s.round()
    s.rest()
    s.sync((0, 1, 3))
    s.barrier(last=True)
    s.told()


@row("E3", "the setup SYNC is withheld on one channel")
def _(s: Script) -> None:
    s.connect()
    s.setup((0, 1, 2))
    s.on(3, s.pages(range(8)))
    s.told()


@row("E4", "extra SYNCs, the channel's data comes a barrier later")
def _(s: Script) -> None:
    connected(s)
    s.sync((1,))
    s.on(1, s.pages(range(8)))
    s.round(32)
    s.sync((0, 2, 3))
    s.barrier()
    s.after_round()


@row("E6", "FLUSH words withheld after the setup", PER_SECTION)
def _(s: Script) -> None:
    connected(s)
    s.sync()
    s.on(0, s.pages(range(8)))
    s.barrier(flushes=0)
    s.mark()
    s.rest()
    s.sync()
    s.barrier(last=True, flushes=0)
    s.device()
    s.sections()
    s.finish()


@row("E8", "a FLUSH word twice", PER_SECTION)
def _(s: Script) -> None:
    connected(s)
    s.sync()
    s.barrier(flushes=2)
    s.told()
