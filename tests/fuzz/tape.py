"""A whole migration as bytes, one stream a connection, and ways to spoil them."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from migemu.wire import extension, mainwriter
from security.scripted import CHANNELS, Scripted

Streams = tuple[bytes, ...]
"""The main channel's bytes, then each multifd channel's."""


class Tape(Scripted):
    """A scripted source that speaks to nobody."""

    def __init__(self, *, extended: bool) -> None:
        super().__init__(("", 0), extended=extended)
        self.spoken = [bytearray(mainwriter.file_header()), *(bytearray() for _ in range(CHANNELS))]

    def say(self, *parts: bytes) -> None:
        self.spoken[0] += b"".join(parts)

    def on(self, channel: int, *parts: bytes) -> None:
        self.spoken[1 + channel] += b"".join(parts)

    def commit(self) -> None:
        if self.extended:
            self.say(mainwriter.command(extension.CMD_START))


@cache
def good(*, extended: bool = True) -> Streams:
    """A migration as it should be."""
    with Tape(extended=extended) as tape:
        tape.whole()
        return tuple(bytes(stream) for stream in tape.spoken)


class Input(NamedTuple):
    """What an input asks for."""

    streams: Streams
    schedule: bytes


def spoiled(data: bytes) -> Input:
    """A migration with what `data` asks for done to it.

    The first byte: whether the source is migemu, and how many bytes of schedule follow. Then five bytes an
    operation, see :func:`apply`.
    """
    first = data[0] if data else 0
    turns = (first >> 2) % 16
    return Input(apply(good(extended=first % 4 != 3), data[1 + turns :]), data[1 : 1 + turns])


def apply(streams: Streams, operations: bytes) -> Streams:
    """Those streams, changed.

    Five bytes an operation: stream, operation, position (16 bits, scaled to the stream's length), value.
    Heads matter more than page bytes, so half the operations strike the first bytes of a record-dense region.
    """
    changed = [bytearray(stream) for stream in streams]
    for at in range(0, len(operations) - 4, 5):
        which, kind, high, low, value = operations[at : at + 5]
        stream = changed[which % len(changed)]
        span = len(stream) if which & 0x80 else min(len(stream), 2048)
        _spoil(stream, kind % 8, (high << 8 | low) * span >> 16, value)
    return tuple(map(bytes, changed))


def _spoil(stream: bytearray, kind: int, position: int, value: int) -> None:
    if kind == 0:
        stream[position : position + 1] = bytes([value])
    elif kind == 1:
        stream[position : position + 4] = b"\xff" * 4
    elif kind == 2:
        del stream[position : position + value + 1]
    elif kind == 3:
        del stream[position:]
    elif kind == 4:
        stream[position:position] = stream[position : position + 16 * value]
    elif kind == 5:
        stream[position:position] = bytes([value]) * 8
    elif kind == 6 and position < len(stream):
        stream[position] ^= 1 << value % 8
    elif kind == 7:
        stream[position : position + 8] = (1 << value % 64).to_bytes(8)
