"""One thing that travels, as order rules see it: what it is, and its bytes.

Packets, records, messages and hellos become items; so do the beginning and the end of a connection, which
have no bytes but something that is done when their turn comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from migemu.scenario.order_names import SECTIONS
from migemu.wire import records as r
from migemu.wire.encode import encode_record
from migemu.wire.mainstream import COMMANDS
from migemu.wire.mainwriter import ram_page_header, vfio_data_header
from migemu.wire.multifd import (
    COMMON,
    DEVICE_HEADER,
    DEVICE_HEADER_SIZE,
    DEVICE_STATE,
    RAM_HEADER,
    SYNC,
    RamPacket,
    encode_device_header,
    encode_ram_header,
)
from migemu.wire.returnpath import Message
from migemu.wire.returnpath import encode as encode_message
from migemu.wire.text import padded_name
from migemu.wire.vfio import FLAG_CONFIG, VFIO_HEADER, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.link.order_verdict import EndHow, Slices, Trigger
    from migemu.wire.buffers import Buffer
    from migemu.wire.multifd import Packet

Part = bytes | memoryview
Channel = int | str | None
"""A multifd channel's id, ``main``, or None while nobody knows."""

NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(slots=True, eq=False)
class Item:
    """What a rule may select and act on.

    Attributes:
        parts: its bytes.
        begin: instead of bytes: what is done when its turn comes; returns whether it is done at once.
        deny: what is done when a rule refuses it; given the rule's name.
        settle: called once, when it has been sent or taken out of the stream: the sender may go on.
        at: rules of its stream that have been asked already.
        aside: it was taken out of the line; what it waits for now holds up nobody else.
        copied: a rule made it; it is not the sender's.
        slices: it goes out in pieces.
        ending: how, and by which rule, its connection ends behind it.
    """

    stream: str
    channel: Channel
    record: str
    parts: tuple[Part, ...] = ()
    device: str = ""
    idx: int | None = None
    flags: frozenset[str] = NOTHING
    name: str = ""
    """Of a command, a mark or a message."""
    section: str = ""
    within: str = ""
    number: int = 0
    """Counts the items of its connection and stream."""
    came: float = 0.0
    """When it came, in seconds of the side's clock."""
    begin: Callable[[Item], bool] | None = None
    deny: Callable[[str], None] | None = None
    settle: Callable[[], None] | None = None
    buffer: Buffer | None = None
    at: int = 0
    aside: bool = False
    copied: bool = False
    slices: Slices | None = None
    ending: tuple[EndHow, str] | None = None
    fired: list[str] = field(default_factory=list)
    """Names of the rules that acted on it."""
    marks: list[Trigger] = field(default_factory=list)
    """What is met once it has passed, or is gone."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.parts))

    @property
    def opens(self) -> bool:
        """Whether it is the head of a section, whose body follows."""
        return self.record in SECTIONS

    @property
    def inside(self) -> bool:
        """Whether it belongs to the section that was opened before it."""
        return bool(self.within) and not self.opens

    @property
    def closes(self) -> bool:
        """Whether it ends its section."""
        return self.record == "Footer"

    def own(self) -> None:
        """Keep the bytes beyond their sender's patience: copy them, and let the sender go on."""
        if self.parts:
            self.parts = (b"".join(self.parts),)
        self.release()
        self.settled()

    def settled(self) -> None:
        """Tell the sender, once."""
        settle, self.settle = self.settle, None
        if settle is not None:
            settle()

    def release(self) -> None:
        """Give the payload's memory back."""
        buffer, self.buffer = self.buffer, None
        if buffer is not None:
            buffer.release()

    def copy(self) -> Item:
        """The same once more; rules that were asked are not asked again."""
        return Item(
            self.stream,
            self.channel,
            self.record,
            (b"".join(self.parts),) if self.parts else (),
            self.device,
            self.idx,
            self.flags,
            self.name,
            self.section,
            self.within,
            self.number,
            self.came,
            begin=self.begin,
            deny=self.deny,
            at=self.at,
            copied=True,
        )


def of_packet(packet: Packet, stream: str, channel: Channel) -> Item:
    """A multifd packet; the item owns its payload from here on."""
    if isinstance(packet, RamPacket):
        parts = (encode_ram_header(packet),) + ((packet.pages.view,) if packet.pages is not None else ())
        flags = _ram_flags(packet.flags, len(packet.normal) + len(packet.zero))
        return Item(stream, channel, "RamPacket", parts, flags=flags, buffer=packet.pages)
    data = packet.data
    header = encode_device_header(
        packet.device, packet.instance, packet.idx, packet.flags, len(data), packet.version
    )
    return Item(
        stream,
        channel,
        "DevicePacket",
        (header, data.view),
        device=packet.device,
        idx=packet.idx,
        flags=_device_flags(packet.flags),
        buffer=data,
    )


def of_bytes(header: bytes, payload: memoryview | None, channel: int) -> Item:
    """A multifd packet as the source is about to write it: whole, its header in one piece."""
    parts: tuple[Part, ...] = (header,) if payload is None else (header, payload)
    flags = COMMON.unpack_from(header)[2]
    if not flags & DEVICE_STATE:
        normal, zero = RAM_HEADER.unpack_from(header)[4], RAM_HEADER.unpack_from(header)[7]
        return Item("out", channel, "RamPacket", parts, flags=_ram_flags(flags, normal + zero))
    device = padded_name(DEVICE_HEADER.unpack_from(header)[3], "device id")
    _, idx, marks = VFIO_HEADER.unpack_from(header, DEVICE_HEADER_SIZE)
    return Item("out", channel, "DevicePacket", parts, device, idx, _device_flags(marks))


def _ram_flags(flags: int, pages: int) -> frozenset[str]:
    return frozenset((["sync"] if flags & SYNC else []) + (["ram"] if pages else []))


def _device_flags(marks: int) -> frozenset[str]:
    return frozenset({"config" if marks & FLAG_CONFIG else "data"})


_BARRIERS: Final = {"RamFlush": frozenset({"flush"}), "RamEos": frozenset({"eos"})}


class Sections:
    """Which section a record of the main stream belongs to; one for each main channel."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._names: dict[int, str] = {}
        self._open = ("", "")

    def item(self, record: Any) -> Item:
        """`record` as an item; the item owns its payload from here on."""
        kind = type(record).__name__
        section, within = self._place(record, kind)
        data = getattr(record, "data", None)
        buffer = data if data is not None and not isinstance(data, bytes) else None
        return Item(
            self._stream,
            "main",
            kind,
            _parts(record),
            device=section if section.endswith("/vfio") else "",
            flags=_BARRIERS.get(kind, NOTHING),
            name=_name(record),
            section=section,
            within=within,
            buffer=buffer,
        )

    def _place(self, record: Any, kind: str) -> tuple[str, str]:
        if kind in ("SectionStart", "SectionFull"):
            self._names[record.section_id] = record.idstr
        if kind in SECTIONS:
            self._open = self._names.get(record.section_id, ""), kind
        place, belongs = self._open, kind in SECTIONS or kind == "Footer" or hasattr(record, "section")
        if kind == "Footer" or not belongs:
            self._open = "", ""
        return place if belongs else ("", "")


def _parts(record: Any) -> tuple[Part, ...]:
    """The bytes of a record of the main stream; payloads as they lie."""
    if isinstance(record, r.VfioData):
        return vfio_data_header(len(record.data)), record.data.view
    if isinstance(record, r.RamPage):
        header = ram_page_header(record.block, record.offset, continued=record.continued)
        return header, record.data.view
    return (encode_record(record),)


def _name(record: Any) -> str:
    if isinstance(record, r.Command):
        return COMMANDS[record.number].name if record.number in COMMANDS else str(record.number)
    if isinstance(record, r.VfioWord):
        return WORDS[record.word].name
    return ""


def of_message(message: Message) -> Item:
    """A message of the return path."""
    data = encode_message(message.type, message.data)
    return Item("return", "main", "Message", (data,), name=message.name)
