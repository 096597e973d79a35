"""Rules that change what a packet's bytes are, or how they come: corrupt, slice.

A field is named as ``migemu decode`` prints it and found by its place in the record's fixed head; the payload
is ``data``. Names that a device packet has twice are told apart: ``packet_flags`` and ``packet_version`` are
multifd's, ``flags`` and ``version`` those of the VFIO header behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.errors import ConfigError
from migemu.link.order_verdict import Become, Made, Slices
from migemu.wire.multifd import DEVICE_HEADER_SIZE, IDSTR_SIZE, OFFSETS_AT, ram_header_size
from migemu.wire.vfio import VFIO_HEADER_SIZE

if TYPE_CHECKING:
    from random import Random

    from migemu.link.order_item import Item
    from migemu.link.order_verdict import Verdict, World
    from migemu.scenario import Order


class Place(NamedTuple):
    """Where a field is in its record."""

    at: int
    size: int | None
    """None: to the end of the packet."""


_MULTIFD: Final = {"magic": Place(0, 4), "packet_version": Place(4, 4), "packet_flags": Place(8, 4)}
_RECORD: Final = {"record": Place(0, 1)}
_SECTION: Final = _RECORD | {"section_id": Place(1, 4)}
_WORD: Final = {"word": Place(0, 8)}

FIELDS: Final[dict[str, dict[str, Place]]] = {
    "Hello": {
        "magic": Place(0, 4),
        "version": Place(4, 4),
        "uuid": Place(8, 16),
        "channel": Place(24, 1),
        "reserved": Place(25, 39),
    },
    "RamPacket": _MULTIFD
    | {
        "flags": Place(8, 4),
        "pages_alloc": Place(12, 4),
        "normal": Place(16, 4),
        "next_packet_size": Place(20, 4),
        "packet_num": Place(24, 8),
        "zero": Place(32, 4),
        "block": Place(64, IDSTR_SIZE),
        "offset": Place(OFFSETS_AT, 8),
        "data": Place(ram_header_size(), None),
    },
    "DevicePacket": _MULTIFD
    | {
        "device": Place(12, IDSTR_SIZE),
        "instance": Place(268, 4),
        "size": Place(272, 4),
        "version": Place(DEVICE_HEADER_SIZE, 4),
        "idx": Place(DEVICE_HEADER_SIZE + 4, 4),
        "flags": Place(DEVICE_HEADER_SIZE + 8, 4),
        "data": Place(DEVICE_HEADER_SIZE + VFIO_HEADER_SIZE, None),
    },
    "FileHeader": {"magic": Place(0, 4), "version": Place(4, 4)},
    "Configuration": _RECORD | {"length": Place(1, 4), "machine": Place(5, None)},
    "SectionStart": _SECTION,
    "SectionPart": _SECTION,
    "SectionEnd": _SECTION,
    "SectionFull": _SECTION,
    "Footer": _SECTION,
    "Command": _RECORD | {"number": Place(1, 2), "length": Place(3, 2), "data": Place(5, None)},
    "RamFlush": _WORD,
    "RamEos": _WORD,
    "RamBlocks": _WORD,
    "RamPage": _WORD,
    "RamZero": _WORD,
    "VfioWord": _WORD,
    "VfioData": _WORD | {"size": Place(8, 8), "data": Place(16, None)},
    "VfioDataCount": _WORD | {"count": Place(8, 8)},
    "VmDesc": _RECORD | {"length": Place(1, 4), "json": Place(5, None)},
    "Message": {"type": Place(0, 2), "length": Place(2, 2), "data": Place(4, None)},
}
"""Fields by record; what is not named here is reached by `offset` alone."""


def corrupt(order: Order, world: World) -> Made:
    """Write or flip bytes; without value and xor one bit, from the seed."""
    attributes = order.attributes
    value = _bytes_of(attributes.value)
    xor = _bytes_of(attributes.xor)

    def judge(item: Item) -> Verdict:
        data = bytearray(b"".join(item.parts))
        place = _place(order, item, len(data))
        _change(data, place, value, xor, world.random(order, item, "bit"))
        return Become((bytes(data),))

    return Made(judge)


def slice_up(order: Order, _world: World) -> Made:
    """Deliver in pieces (toxiproxy: slicer)."""
    attributes = order.attributes
    verdict = Slices(attributes.size or 1, attributes.pause, attributes.at)
    return Made(lambda _item: verdict)


def _place(order: Order, item: Item, size: int) -> Place:
    """Where to change something, inside the packet.

    Raises:
        ConfigError: the record has no such field, or the packet ends before it.
    """
    attributes, start, room = order.attributes, 0, None
    if attributes.field:
        known = FIELDS.get(item.record, {})
        if attributes.field not in known:
            has = ", ".join(known) or "none by name, use offset"
            raise ConfigError(
                f"order rule {order.name}: {item.record} has no field {attributes.field}: {has}"
            )
        start, room = known[attributes.field]
    start += attributes.offset or 0
    end = size if room is None else min(size, start + room)
    if start >= size:
        raise ConfigError(f"order rule {order.name}: {item.record} has {size} bytes, none at {start}")
    return Place(start, end - start)


def _change(
    data: bytearray, place: Place, value: bytes | int | None, xor: bytes | int | None, chance: Random
) -> None:
    at, room = place.at, place.size or 0
    if value is not None:
        new = _fit(value, room)
        data[at : at + len(new)] = new
        return
    mask = _fit(xor, room) if xor is not None else _one_bit(room, chance)
    for number, flip in enumerate(mask):
        data[at + number] ^= flip


def _one_bit(room: int, chance: Random) -> bytes:
    """One bit of `room` bytes; the bytes before it stay as they are."""
    return bytes(chance.randrange(room)) + bytes([1 << chance.randrange(8)])


def _fit(value: bytes | int, room: int) -> bytes:
    """A number fills a small field; text and bytes begin at its first byte and end where they end."""
    if isinstance(value, int):
        size = room if room <= 8 else max(1, (value.bit_length() + 7) // 8)
        return value.to_bytes(max(size, (value.bit_length() + 7) // 8))[-room:]
    return value[:room]


def _bytes_of(text: str) -> bytes | int | None:
    """What a person wrote: a number in any base, ``hex:00ff``, or text."""
    if not text:
        return None
    try:
        if text.startswith("hex:"):
            return bytes.fromhex(text.removeprefix("hex:"))
        return int(text, 0)
    except ValueError:
        return text.encode()
