"""What looks at a tapped connection: told by its first bytes what it is, then packet by packet.

What cannot be read is passed on all the same: from the first byte that breaks the protocol, or that is
encrypted, the rest of that direction goes by unseen, and that is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.errors import MigemuError
from migemu.link.order_item import Item, Sections, of_message, of_packet
from migemu.qemu.tap_channel import SkimmingChannel
from migemu.qemu.tap_channel import of_packet as of_packet_read
from migemu.qemu.tap_relay import PIECE
from migemu.qemu.tap_skim import SkimmingReader
from migemu.wire.buffers import Buffer, HeapPool
from migemu.wire.hello import HELLO_SIZE, Hello, identify
from migemu.wire.mainreader import MainReader
from migemu.wire.reader import PacketReader
from migemu.wire.returnpath import ReturnPathReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.link.order_tape import Tape
    from migemu.qemu.tap_watch import Watch
    from migemu.wire.limits import WireLimits

MAGIC_SIZE: Final = 4
ANSWERS: Final = 1 << 12
"""Bytes of a return path received at a time."""
FEED: Final = 1 << 16
"""Bytes that a reader which stops at each SYNC has room for at a time."""


class There:
    """What the source sends on one connection.

    Args:
        watch: told of everything.
        limits: what may be announced; beyond, this tap looks away and not the migration ends.
        tape: where it is recorded, if it is; then no byte goes by unseen.

    Attributes:
        channel: ``main``, a multifd channel's id; None while, or because, nobody knows.
    """

    def __init__(self, watch: Watch, limits: WireLimits, tape: Tape | None = None) -> None:
        self.channel: int | str | None = None
        self._watch = watch
        self._limits = limits
        self._tape = tape
        self._pool = HeapPool()
        self._sections = Sections("in")
        self._early = bytearray()
        self._scratch = memoryview(bytearray(PIECE))
        self._landed = False
        self._reader: Any = None
        self._blind = False
        self._keep(Item("in", None, "Connect"))

    def room(self) -> memoryview:
        """Where the next bytes go: of a main channel to where they are read, which spares a copy."""
        self._landed = self.channel == "main" and self._reader is not None
        return self._reader.get_buffer() if self._landed else self._scratch

    def seen(self, view: memoryview) -> None:
        """Look at what went on."""
        if self._tape is not None:
            self._watch.locked(self._tape.data, view)
        if self._blind:
            return
        try:
            self._look(view)
        except MigemuError as error:
            self._look_away(error)

    def _look(self, view: memoryview) -> None:
        if self._reader is not None:
            self._feed(view, landed=self._landed)
            return
        self._early += view
        if len(self._early) < MAGIC_SIZE:
            return
        if identify(bytes(self._early[:MAGIC_SIZE])) == "main":
            kind = SkimmingReader if self._tape is None else MainReader
            self._begin("main", kind(self._pool, self._limits), 0)
        elif len(self._early) >= HELLO_SIZE:
            said = bytes(self._early[:HELLO_SIZE])
            channel = Hello.decode(said).channel
            hello = Item("in", channel, "Hello", (said,))
            skims = self._tape is None
            reader = SkimmingChannel(self._limits) if skims else PacketReader(self._pool, self._limits)
            self._begin(channel, reader, HELLO_SIZE, hello)

    def _begin(self, channel: int | str, reader: Any, at: int, hello: Item | None = None) -> None:
        """It is known what this is; the stream begins at byte `at`, behind a hello."""
        self.channel = channel
        self._name()
        if hello is not None:
            self._keep(hello)
        self._reader = reader
        early, self._early = bytes(self._early[at:]), bytearray()
        self._feed(memoryview(early))

    def _name(self) -> None:
        if self._tape is not None:
            self._watch.locked(self._tape.named, self.channel)
        self._watch.begins(self.channel)

    def _feed(self, view: memoryview, *, landed: bool = False) -> None:
        """Tell what is complete; also where the next thing is broken."""
        reader = self._reader
        try:
            if isinstance(reader, PacketReader):
                self._feed_packets(reader, view)
            else:
                self._tell(reader.received(len(view)) if landed else reader.feed(view))
        except MigemuError:
            self._tell(reader.salvaged)
            raise

    def _feed_packets(self, reader: PacketReader, view: memoryview) -> None:
        """No barrier holds up a tap: SYNCs are passed at once."""
        for at in range(0, len(view), FEED):
            self._tell(reader.feed(view[at : at + FEED]))
            while reader.parked:
                self._tell(reader.resume())

    def _tell(self, found: Iterable[Any]) -> None:
        for one in found:
            if self._tape is not None:
                self._keep(self._item(one))
            if isinstance(self.channel, int):
                self._watch.packet(self.channel, one if self._tape is None else of_packet_read(one))
            else:
                self._watch.record(one)
            for payload in (getattr(one, "data", None), getattr(one, "pages", None)):
                if isinstance(payload, Buffer):
                    payload.release()

    def _keep(self, item: Item) -> None:
        if self._tape is not None:
            self._watch.locked(self._tape.item, item)

    def _item(self, one: Any) -> Item:
        return self._sections.item(one) if self.channel == "main" else of_packet(one, "in", self.channel)

    def _look_away(self, error: MigemuError) -> None:
        self._blind = True
        if self.channel is None:
            self._name()
        self._reader = None
        self._watch.lost_sight(self.channel, error)

    def ended(self, why: str) -> None:
        """The source closed, or was cut off."""
        torn = self._torn()
        if self._tape is not None:
            self._watch.locked(self._tape.closed, why or torn)
        self._watch.ends(self.channel, torn and (f"{torn}; {why}" if why else torn))

    def _torn(self) -> str:
        """What the stream ended inside, if it did: a close between two packets is a goodbye, however rude."""
        try:
            if self._reader is not None:
                self._reader.ended()
        except MigemuError as error:
            return error.message
        return ""


class Back:
    """What the destination answers on the same connection: the return path, on the main channel.

    Args:
        watch: told of every message.
        there: the other direction, which knows what this is.
        tape: where it is recorded, if it is.
    """

    def __init__(self, watch: Watch, there: There, tape: Tape | None = None) -> None:
        self._watch = watch
        self._there = there
        self._tape = tape
        self._scratch = memoryview(bytearray(ANSWERS))
        self._reader: ReturnPathReader | None = ReturnPathReader()

    def room(self) -> memoryview:
        """Where the next bytes go."""
        return self._scratch

    def seen(self, view: memoryview) -> None:
        """Look at them."""
        if self._reader is None or self._there.channel != "main":
            return
        try:
            for message in self._reader.feed(view):
                if self._tape is not None:
                    self._watch.locked(self._tape.reply, of_message(message))
                self._watch.message(message)
        except MigemuError as error:
            self._reader = None
            self._watch.lost_sight("return path", error)

    def ended(self, why: str) -> None:
        """The destination closed; its last word was SHUT, if it had one."""
