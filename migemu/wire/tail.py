"""Device sections without a codec: where they end, and what they are once the description is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import WireError
from migemu.wire import mainstream as ms
from migemu.wire.text import decode_name, decode_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD: Final = 6
"""EOF, VMDESCRIPTION, u32 length."""
MAX_DEPTH: Final = 32
"""Subsections inside subsections; real devices have two levels."""


def find_description(tail: bytes | bytearray, last_nul: int, most: int) -> int | None:
    """Where in `tail` EOF and a whole JSON description stand, if they are its very end.

    JSON has no NUL, so the last one, at `last_nul`, is in the six bytes before it: EOF itself or a byte of
    the length. That leaves five places to look at, however long the tail is.
    """
    if not tail.endswith(b"}"):
        return None
    places: list[int] = [last_nul, *range(last_nul - 5, last_nul - 1)]
    for at in places:
        if at < 0 or tail[at : at + 2] != bytes([ms.EOF, ms.VMDESCRIPTION]):
            continue
        length = int.from_bytes(tail[at + 2 : at + _HEAD])
        whole = at + _HEAD + length == len(tail) and tail[at + _HEAD : at + _HEAD + 1] == b"{"
        if whole and length <= most:
            return at
    return None


@dataclass(frozen=True, slots=True)
class TailSection:
    """One device section cut out of the tail."""

    section_id: int
    idstr: str
    instance: int
    version: int
    data: bytes
    """The body, subsections included."""
    footer: bool
    """Whether a footer followed."""


class _Cursor:
    """Reads the tail front to back; running off its end is a WireError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise WireError(f"the description runs past the device sections at byte {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def take_int(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def next_is(self, byte: int) -> bool:
        return self.data[self.at : self.at + 1] == bytes([byte])


def split_tail(tail: bytes, description: bytes) -> list[TailSection]:
    """Cut `tail` into sections by the sizes that the JSON `description` gives.

    Raises:
        WireError: the two do not fit together.
    """
    devices = _devices(description)
    cursor = _Cursor(tail)
    sections = []
    try:
        while cursor.at < len(tail):
            sections.append(_section(cursor, devices))
    except (KeyError, TypeError, AttributeError) as error:
        raise WireError(f"the description is malformed: {error!r}") from error
    return sections


def _devices(description: bytes) -> dict[tuple[str, int], Mapping[str, Any]]:
    devices = decode_object(description, "the description").get("devices")
    if not isinstance(devices, list) or not all(isinstance(device, dict) for device in devices):
        raise WireError("the description has no list of devices")
    try:
        return {(device["name"], device["instance_id"]): device for device in devices}
    except (KeyError, TypeError) as error:
        raise WireError(f"the description has a device without a name: {error!r}") from error


def _section(cursor: _Cursor, devices: Mapping[tuple[str, int], Mapping[str, Any]]) -> TailSection:
    kind = cursor.take_int(1)
    if kind not in (ms.SECTION_START, ms.SECTION_FULL):
        raise WireError(f"record {kind:#04x} at byte {cursor.at - 1} of the device sections")
    section_id = cursor.take_int(4)
    idstr = decode_name(cursor.take(cursor.take_int(1)), "section idstr")
    instance, version = cursor.take_int(4), cursor.take_int(4)
    device = devices.get((idstr, instance))
    if device is None:
        raise WireError(f"the description lacks {idstr} instance {instance}")
    begin = cursor.at
    _skip_state(cursor, device)
    data = cursor.data[begin : cursor.at]
    footer = cursor.next_is(ms.FOOTER)
    if footer and cursor.take_int(5) & 0xFFFFFFFF != section_id:
        raise WireError(f"{idstr}: the footer at byte {cursor.at} is another section's")
    return TailSection(section_id, idstr, instance, version, data, footer)


def _skip_state(cursor: _Cursor, state: Mapping[str, Any], depth: int = 0) -> None:
    """Step over the fields of a device or subsection and the subsections behind them."""
    if depth > MAX_DEPTH:
        raise WireError(f"the description nests subsections more than {MAX_DEPTH} deep")
    for field in state.get("fields", ()):
        cursor.take(_field_size(field))
    for subsection in state.get("subsections", ()):
        _skip_subsection(cursor, subsection, depth + 1)


def _field_size(field: Mapping[str, Any]) -> int:
    """Bytes of a field; a structure's `size` is what QEMU counted while it wrote all of it.

    With `array_len` the entry stands for that many alike elements, with `index` for one that differs.
    """
    return _count(field, "size") * (_count(field, "array_len") if "array_len" in field else 1)


def _count(field: Mapping[str, Any], key: str) -> int:
    value = field[key]
    if not isinstance(value, int) or value < 0:
        raise WireError(f"the description has {key} {value!r}")
    return value


def _skip_subsection(cursor: _Cursor, subsection: Mapping[str, Any], depth: int) -> None:
    if cursor.take_int(1) != ms.SUBSECTION:
        raise WireError(f"no subsection at byte {cursor.at - 1} of the device sections")
    name = decode_name(cursor.take(cursor.take_int(1)), "subsection")
    cursor.take(4)  # its version
    if name != subsection["vmsd_name"]:
        raise WireError(f"subsection {name} where the description has {subsection['vmsd_name']}")
    _skip_state(cursor, subsection, depth)
