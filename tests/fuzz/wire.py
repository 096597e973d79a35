"""Every parser of the wire, given any bytes: items or an error of the tree, nothing else, in bounded time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from migemu.errors import LimitError, WireError
from migemu.wire import extension
from migemu.wire.buffers import HeapPool
from migemu.wire.hello import Hello, identify
from migemu.wire.limits import WireLimits
from migemu.wire.mainreader import MainReader
from migemu.wire.probe import decode_readiness
from migemu.wire.reader import PacketReader
from migemu.wire.returnpath import ReturnPathReader
from migemu.wire.tail import split_tail
from migemu.wire.vfio import decode_config_state, unwrap_config

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = WireLimits(max_payload=1 << 20, max_non_iterable=1 << 16, max_vmdesc=1 << 16)
MOST = 1 << 16
"""Bytes given to a reader at a time."""


def main_channel(data: bytes) -> None:
    """The main stream, in two reads whose border the first byte says."""
    reader = MainReader(HeapPool(keep=0), LIMITS)
    cut = data[0] * 4 if data else 0
    for piece in (data[1:cut], data[max(cut, 1) :]):
        reader.feed(piece)
    reader.ended()


def multifd_channel(data: bytes) -> None:
    """A multifd channel, every barrier passed at once."""
    reader = PacketReader(HeapPool(keep=0), LIMITS)
    for at in range(0, len(data), MOST):
        reader.feed(data[at : at + MOST])
        while reader.parked:
            reader.resume()
    reader.ended()


def hello(data: bytes) -> None:
    """The first bytes of a connection."""
    identify(data[:4])
    Hello.decode(data)


def return_path(data: bytes) -> None:
    """What a source reads."""
    reader = ReturnPathReader()
    for message in reader.feed(data):
        if message.type == extension.RP_LOADED:
            extension.PartsReader().feed(message.data)
    reader.ended()


def small_ones(data: bytes) -> None:
    """Announcements, clocks, probes, configs, descriptions."""
    body = data[1:]
    readers: list[Callable[[bytes], object]] = [
        extension.decode_announcement,
        extension.decode_clock,
        extension.decode_clock_reply,
        decode_readiness,
        unwrap_config,
        decode_config_state,
        lambda raw: split_tail(raw[: len(raw) // 2], raw[len(raw) // 2 :]),
        lambda raw: extension.PartsReader().feed(raw),
    ]
    readers[data[0] % len(readers) if data else 0](body)


PARSERS: dict[str, Callable[[bytes], None]] = {
    "main": main_channel,
    "multifd": multifd_channel,
    "hello": hello,
    "returns": return_path,
    "small": small_ones,
}


def feed(parser: Callable[[bytes], None], data: bytes) -> None:
    """Whatever the bytes are, only what they break, or the limit they meet, comes out."""
    with suppress(WireError, LimitError):
        parser(data)
