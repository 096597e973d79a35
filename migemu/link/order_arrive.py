"""The bytes of one incoming connection, cut into items: greeting first, then packets or records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.errors import MigemuError
from migemu.link.order_item import Item, Sections, of_packet
from migemu.wire.hello import HELLO_SIZE, Hello, identify
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from migemu.link.order_item import Channel
    from migemu.wire.buffers import Pool
    from migemu.wire.limits import WireLimits

MAGIC_SIZE: Final = 4
FOREIGN_SIZE: Final = 4096
"""Bytes read at a time of a connection that is no channel: a readiness probe, a port scanner."""


class Arrivals:
    """One connection's incoming bytes.

    Attributes:
        channel: whose they are, as soon as that is known.
        error: the bytes break the protocol here; nothing more is read.

    Args:
        pool: where payloads are put.
        limits: what may be announced.
    """

    def __init__(self, pool: Pool, limits: WireLimits) -> None:
        self.channel: Channel = None
        self.error: MigemuError | None = None
        self._pool = pool
        self._limits = limits
        self._greeting = bytearray(HELLO_SIZE)
        self._have = 0
        self._want = MAGIC_SIZE
        self._reader: MainReader | PacketReader | None = None
        self._sections = Sections("in")
        self._foreign = False

    def get_buffer(self) -> memoryview:
        """Where the next bytes of the socket go."""
        if self._reader is not None:
            return self._reader.get_buffer()
        if self._foreign:
            self._greeting, self._have = bytearray(FOREIGN_SIZE), 0
            return memoryview(self._greeting)
        return memoryview(self._greeting)[self._have : self._want]

    def received(self, count: int) -> list[Item]:
        """The items that `count` more bytes complete; see `error` then."""
        if self.error is not None:
            return []
        if self._reader is not None:
            return self._read(count)
        self._have += count
        if self._foreign:
            return [self._rest()]
        if self._have < self._want:
            return []
        return self._greeted()

    def _greeted(self) -> list[Item]:
        first = bytes(self._greeting[: self._have])
        if self._have == HELLO_SIZE:
            return self._multifd(first)
        try:
            kind = identify(first)
        except MigemuError:
            self._foreign = True
            return [self._rest()]
        if kind == "multifd":
            self._want = HELLO_SIZE
            return []
        self.channel = "main"
        self._reader = MainReader(self._pool, self._limits)
        self._reader.feed(first)
        return []

    def _multifd(self, hello: bytes) -> list[Item]:
        try:
            self.channel = Hello.decode(hello).channel
        except MigemuError:
            self._foreign = True
            return [self._rest()]
        self._reader = PacketReader(self._pool, self._limits)
        return [Item("in", self.channel, "Hello", (hello,))]

    def _rest(self) -> Item:
        """What no rule may touch, because it is not part of a migration."""
        data, self._have = bytes(self._greeting[: self._have]), 0
        return Item("in", None, "Bytes", (data,), at=1 << 30)

    def _read(self, count: int) -> list[Item]:
        reader: Any = self._reader
        found: list[Any] = []
        try:
            found += reader.received(count)
            while getattr(reader, "parked", False):
                found += reader.resume()
        except MigemuError as error:
            found += reader.salvaged
            self.error = error.at(channel=self.channel)
        return [self._item(one) for one in found]

    def _item(self, found: Any) -> Item:
        if self.channel == "main":
            return self._sections.item(found)
        return of_packet(found, "in", self.channel)

    def ended(self) -> list[Item]:
        """The connection has no more bytes: what of a greeting is left; see `error` then."""
        if self._reader is None:
            return [self._rest()] if self._have else []
        try:
            self._reader.ended()
        except MigemuError as error:
            self.error = error.at(channel=self.channel)
        return []
