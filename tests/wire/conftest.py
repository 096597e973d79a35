"""Recorded streams of real QEMU, and the two readers driven as a connection would drive them."""

from __future__ import annotations

import lzma
import tarfile
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import MigemuError
from migemu.wire.buffers import HeapPool
from migemu.wire.encode import encode_packet, encode_record
from migemu.wire.mainreader import MainReader
from migemu.wire.multifd import DevicePacket, RamPacket
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from migemu.wire.multifd import Packet
    from migemu.wire.records import Record

    Captured = Callable[[str], dict[str, bytes]]

FOLDER = Path(__file__).resolve().parents[1] / "captures"
MOST = 1 << 16
"""Bytes fed to a channel at one time: a reader that parks takes no more than its landing area."""


@cache
def recorded(name: str) -> dict[str, bytes]:
    """The files of a recording, by name."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        return {PurePath(member.name).name: content.read() for member, content in members if content}


class Drive:
    """Feeds a reader as sockets do: any number of bytes at a time, and on at once where it is held."""

    def packets(self, data: bytes, reader: PacketReader | None = None) -> list[Packet]:
        """All packets of a channel."""
        reader = reader or PacketReader(HeapPool())
        found = [packet for piece in _pieces(data, ()) for packet in _passing(reader, piece)]
        reader.ended()
        return found

    def records(self, data: bytes, reader: MainReader | None = None, step: int = 1 << 20) -> list[Record]:
        """All records of a main stream."""
        reader = reader or MainReader(HeapPool())
        found = [record for at in range(0, len(data), step) for record in reader.feed(data[at : at + step])]
        reader.ended()
        return found

    def outcome(self, reader: MainReader | PacketReader, data: bytes, cuts: Iterable[int]) -> tuple[Any, ...]:
        """Every item as bytes, and the error that ended it: what must not depend on the cuts."""
        feed = _passing if isinstance(reader, PacketReader) else MainReader.feed
        items: list[Any] = []
        try:
            for piece in _pieces(data, cuts):
                items += feed(reader, piece)  # type: ignore[arg-type]  # each with its own reader
            reader.ended()
        except MigemuError as error:
            items += reader.salvaged
            return _bytes_of(items), type(error), str(error)
        return _bytes_of(items), None, ""


def _passing(reader: PacketReader, piece: bytes) -> list[Packet]:
    """Feed one piece, passing every barrier at once."""
    packets = reader.feed(piece)
    try:
        while reader.parked:
            packets += reader.resume()
    except MigemuError:
        reader.salvaged = packets + reader.salvaged
        raise
    return packets


def _pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in cuts:
        yield data[at : at + size]
        at += size
    for begin in range(at, len(data), MOST):
        yield data[begin : begin + MOST]


def _bytes_of(items: Iterable[Any]) -> list[bytes]:
    return [
        encode_packet(item) if isinstance(item, (RamPacket, DevicePacket)) else encode_record(item)
        for item in items
    ]


@pytest.fixture
def captured() -> Captured:
    return recorded


@pytest.fixture(scope="session")
def device_state() -> bytes:
    return lzma.decompress((FOLDER / "qemu-10.0-device-state.bin.xz").read_bytes())


@pytest.fixture
def drive() -> Drive:
    return Drive()


@pytest.fixture
def pool() -> HeapPool:
    return HeapPool()
