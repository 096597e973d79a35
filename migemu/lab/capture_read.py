"""One connection's file as the items it is made of, read front to back in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from migemu.errors import MigemuError, UsageError
from migemu.link.order_item import Item, Sections, of_message, of_packet
from migemu.wire.buffers import HeapPool
from migemu.wire.describe import describe
from migemu.wire.hello import HELLO_SIZE, MULTIFD_MAGIC, VM_MAGIC, Hello
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader
from migemu.wire.returnpath import ReturnPathReader

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK: Final = 1 << 16
"""Bytes read at a time: a reader that parks has room for as many."""


@dataclass(frozen=True, slots=True)
class Found:
    """An item of a file.

    Attributes:
        offset: bytes before it.
        item: what rules see of it; its payload is gone when the next one is asked for.
        said: what it says, as `migemu decode --json` has it.
    """

    offset: int
    size: int
    item: Item
    said: dict[str, Any]


def kind_of(first: bytes) -> str:
    """What a file holds, by its first bytes (at least 68 where there are as many).

    Returns:
        ``main``, ``multifd`` (beginning with its hello), ``packets`` (without one) or ``other``.
    """
    magic = int.from_bytes(first[:4]) if len(first) >= 4 else 0
    if magic == VM_MAGIC:
        return "main"
    if magic != MULTIFD_MAGIC:
        return "other"
    # Hellos and packets begin alike; what follows a hello is a packet, or nothing.
    behind = first[HELLO_SIZE : HELLO_SIZE + 4]
    hello = len(first) == HELLO_SIZE or (len(behind) == 4 and int.from_bytes(behind) == MULTIFD_MAGIC)
    return "multifd" if hello else "packets"


def items(file: IO[bytes], name: str) -> Iterator[Found]:
    """The items of one file.

    Args:
        file: at its beginning.
        name: what errors call it; ``return.bin`` is a return path, any other file tells by its first bytes.

    Raises:
        MigemuError: the bytes break the protocol, or end inside something; what came before has been given.
        UsageError: the file is no part of a migration.
    """
    first = file.read(HELLO_SIZE + 4)
    if name.startswith("return"):
        yield from _answers(first, file)
        return
    kind = kind_of(first)
    if kind == "other":
        raise UsageError(
            f"{name} is neither a main channel nor a multifd channel: it begins {first[:4].hex()}"
        )
    if kind == "main":
        yield from _records(first, file)
        return
    offset = 0
    if kind == "multifd":
        hello = Hello.decode(first[:HELLO_SIZE])
        item = Item("in", hello.channel, "Hello", (first[:HELLO_SIZE],))
        said = {"record": "Hello", "channel": hello.channel, "uuid": hello.uuid.hex()}
        yield Found(0, HELLO_SIZE, item, said)
        first, offset = first[HELLO_SIZE:], HELLO_SIZE
    yield from _packets(first, file, offset)


def _chunks(first: bytes, file: IO[bytes]) -> Iterator[bytes]:
    yield first
    while chunk := file.read(CHUNK):
        yield chunk


def _packets(first: bytes, file: IO[bytes], offset: int) -> Iterator[Found]:
    reader = PacketReader(HeapPool())
    for chunk in _chunks(first, file):
        for packet in _fed(reader, chunk):
            item = of_packet(packet, "in", None)
            yield from _given(offset, item, packet)
            offset += item.size
            item.release()
    reader.ended()


def _records(first: bytes, file: IO[bytes]) -> Iterator[Found]:
    reader, sections, offset = MainReader(HeapPool()), Sections("in"), 0
    for chunk in _chunks(first, file):
        for record in _fed(reader, chunk):
            item = sections.item(record)
            yield from _given(offset, item, record)
            offset += item.size
            item.release()
    reader.ended()


def _given(offset: int, item: Item, thing: Any) -> Iterator[Found]:
    yield Found(offset, item.size, item, describe(thing))


def _fed(reader: Any, chunk: bytes) -> Iterator[Any]:
    """What `chunk` completes, one by one, SYNCs passed; also what was complete before an error."""
    try:
        done = reader.feed(chunk)
        while getattr(reader, "parked", False):
            yield from done
            done = reader.resume()
    except MigemuError:
        yield from reader.salvaged
        raise
    yield from done


def _answers(first: bytes, file: IO[bytes]) -> Iterator[Found]:
    reader, offset = ReturnPathReader(), 0
    for chunk in _chunks(first, file):
        for message in reader.feed(chunk):
            item = of_message(message)
            yield from _given(offset, item, message)
            offset += item.size
    reader.ended()
