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
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migemu.wire.multifd import Packet
    from migemu.wire.records import Record

    Captured = Callable[[str], dict[str, bytes]]

FOLDER = Path(__file__).resolve().parents[1] / "captures"


@cache
def recorded(name: str) -> dict[str, bytes]:
    """The files of a recording, by name."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        return {PurePath(member.name).name: content.read() for member, content in members if content}


class Drive:
    """Feeds a reader as sockets do: any number of bytes at a time, pausing where it is held."""

    def packets(self, data: bytes, reader: PacketReader | None = None, step: int = 1 << 20) -> list[Packet]:
        """All packets of a channel, its barriers passed at once."""
        reader = reader or PacketReader(HeapPool())
        packets = list(self._packets(reader, data, step))
        reader.ended()
        return packets

    def _packets(self, reader: PacketReader, data: bytes, step: int) -> Iterable[Packet]:
        for at in range(0, len(data), step):
            for begin in range(at, min(at + step, len(data)), 4096):
                # Never more at one time than a held reader can take.
                yield from reader.feed(data[begin : min(begin + 4096, at + step)])
                while reader.parked:
                    yield from reader.resume()

    def records(self, data: bytes, reader: MainReader | None = None, step: int = 1 << 20) -> list[Record]:
        """All records of a main stream."""
        reader = reader or MainReader(HeapPool())
        found = [record for at in range(0, len(data), step) for record in reader.feed(data[at : at + step])]
        reader.ended()
        return found

    def outcome(
        self, reader: MainReader | PacketReader, data: bytes, steps: Iterable[int]
    ) -> tuple[Any, ...]:
        """Every item as bytes, and the error that ended it: what must not depend on the steps."""
        items: list[Any] = []
        try:
            for piece in _pieces(data, steps):
                items += reader.feed(piece)
                while isinstance(reader, PacketReader) and reader.parked:
                    items += reader.resume()
            reader.ended()
        except MigemuError as error:
            items += reader.salvaged
            return _bytes_of(items), type(error), str(error)
        return _bytes_of(items), None, ""


def _pieces(data: bytes, steps: Iterable[int]) -> Iterable[bytes]:
    at = 0
    for step in steps:
        yield data[at : at + step]
        at += step
    yield data[at:]


def _bytes_of(items: Iterable[Any]) -> list[bytes]:
    return [
        encode_record(item) if hasattr(item, "__dataclass_fields__") else encode_packet(item)
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
