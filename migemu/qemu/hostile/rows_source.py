"""Rows S: a real source, and a destination that fails it; wanted are an error and a VM that may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.qemu.hostile.table import Bench, source_row

if TYPE_CHECKING:
    from migemu.qemu.hostile.sink import Sink

EIGHT = Bench(8, {number: {"state_size": 16 << 20} for number in range(8)})
"""Twice as many save threads as channels, with more to send than sockets hold."""


@source_row("S1", "a channel is reset right after its hello")
def _(sink: Sink) -> None:
    sink.accept()
    sink.reset(1)
    sink.drain("main", 0, 2, 3)


@source_row("S2", "the door closes after main and two channels")
def _(sink: Sink) -> None:
    sink.accept(3)
    sink.close_door()
    sink.drain()


@source_row("S3", "cancelled while nobody reads, then a channel is reset")
def _(sink: Sink) -> None:
    sink.accept()
    sink.pause()
    sink.ask("migrate_cancel")
    sink.reset(1)


@source_row("S4", "eight devices' threads wait for channels, one channel is reset", EIGHT)
def _(sink: Sink) -> None:
    sink.accept()
    sink.drain()
    sink.until_mark()
    sink.pause()
    sink.reset(1)


@source_row("S5", "the same, all channels but one are reset", EIGHT)
def _(sink: Sink) -> None:
    sink.accept()
    sink.drain()
    sink.until_mark()
    sink.pause()
    for channel in (1, 2, 3):
        sink.reset(channel)


@source_row("S6", "cancelled while it waits for the destination's last word")
def _(sink: Sink) -> None:
    sink.accept()
    sink.drain()
    sink.pause()
    sink.ask("migrate_cancel")


@source_row("S7", "the same, then a channel is reset")
def _(sink: Sink) -> None:
    sink.accept()
    sink.drain()
    sink.pause()
    sink.ask("migrate_cancel")
    sink.reset(1)
