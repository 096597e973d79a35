"""A recorded connection as a row of items: what ``migemu decode`` prints, whatever the file.

Sans I/O like everything here: chunks of bytes in, in whatever sizes they come, items out. Barriers hold up
nobody, since there is no other channel to wait for.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from migemu.errors import MigemuError, TruncatedError
from migemu.wire.buffers import Buffer, HeapPool
from migemu.wire.hello import HELLO_SIZE, Hello, identify
from migemu.wire.limits import DEFAULT_LIMITS
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from migemu.wire.limits import WireLimits
    from migemu.wire.multifd import Packet
    from migemu.wire.records import Record

    Item = Hello | Packet | Record

PIECE = 1 << 16
"""Bytes fed at one time: a reader that parks takes no more than its landing area."""


def decode(chunks: Iterable[bytes], limits: WireLimits = DEFAULT_LIMITS) -> Iterator[Item]:
    """The items of one connection, main or multifd, told apart by its first bytes.

    An item's payload is valid until the next item is asked for.

    Raises:
        WireError: the bytes break the protocol; everything before has been yielded.
        LimitError: something announced is larger than allowed.
    """
    rest = iter(chunks)
    head = _gather(b"", rest, 4)
    if identify(head[:4]) == "main":
        yield from decode_with(MainReader(HeapPool(), limits), chain((head,), rest))
        return
    head = _gather(head, rest, HELLO_SIZE)
    yield Hello.decode(head[:HELLO_SIZE])
    yield from decode_with(PacketReader(HeapPool(), limits), chain((head[HELLO_SIZE:],), rest))


def decode_with(reader: MainReader | PacketReader, chunks: Iterable[bytes]) -> Iterator[Record | Packet]:
    """The items that `reader` makes of `chunks`: for bytes without a hello, or other limits and codecs.

    Raises:
        WireError: as for :func:`decode`.
        LimitError: as for :func:`decode`.
    """
    try:
        for chunk in chunks:
            for at in range(0, len(chunk), PIECE):
                yield from _released_after(reader.feed(chunk[at : at + PIECE]))
                while isinstance(reader, PacketReader) and reader.parked:
                    yield from _released_after(reader.resume())
        reader.ended()
    except MigemuError:
        yield from _released_after(reader.salvaged)
        raise
    finally:
        reader.close()


def _released_after(items: Iterable[Record | Packet]) -> Iterator[Record | Packet]:
    for item in items:
        yield item
        for payload in (getattr(item, "data", None), getattr(item, "pages", None)):
            if isinstance(payload, Buffer):
                payload.release()


def _gather(have: bytes, chunks: Iterator[bytes], size: int) -> bytes:
    """`have` and as much from the front of `chunks` as makes it `size` bytes or more."""
    while len(have) < size:
        more = next(chunks, None)
        if more is None:
            raise TruncatedError(f"the connection ended after {len(have)} bytes, inside its first {size}")
        have += more
    return have
