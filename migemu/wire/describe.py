"""Records and packets as JSON-able dictionaries, for ``migemu decode`` and for people.

Payloads are shown by their size and their first bytes, numbers that have a name in QEMU by both.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from migemu.wire.buffers import Buffer
from migemu.wire.mainstream import COMMANDS
from migemu.wire.multifd import FLAG_NAMES, DevicePacket, RamPacket
from migemu.wire.records import Command, RamBlock, Section, VfioWord
from migemu.wire.returnpath import Message
from migemu.wire.vfio import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.wire.hello import Hello
    from migemu.wire.multifd import Packet
    from migemu.wire.records import Record

HEAD: Final = 16
"""Bytes of a payload that are shown."""
SHORT: Final = 64
"""Bytes up to which a payload is shown whole."""


def describe(item: Record | Packet | Hello | Message) -> dict[str, Any]:
    """What the item says, under ``record`` its type."""
    return {"record": type(item).__name__, **dict(_named(item)), **_extra(item)}


def _named(item: Any) -> Iterator[tuple[str, Any]]:
    names = [field.name for field in fields(item)] if is_dataclass(item) else item._fields
    for name in names:
        value = getattr(item, name)
        if value is not None and name != "slots":
            yield name, _plain(value)


def _plain(value: Any) -> Any:
    """`value` as JSON has it."""
    if isinstance(value, Buffer):
        return _payload(value.view)
    if isinstance(value, bytes):
        return _payload(memoryview(value))
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (Section, RamBlock)):
        return {name: part for name, part in value._asdict().items() if part is not None}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _payload(view: memoryview) -> dict[str, Any]:
    size = len(view)
    shown = bytes(view[: size if size <= SHORT else HEAD])
    return {"bytes": size, "hex" if size <= SHORT else "head": shown.hex()}


def _extra(item: Any) -> dict[str, Any]:
    """Names beside numbers."""
    if isinstance(item, RamPacket):
        names = [name for flag, name in FLAG_NAMES.items() if item.flags & flag]
        return {"flag_names": names}
    if isinstance(item, DevicePacket):
        return {"config": item.is_config}
    if isinstance(item, VfioWord):
        return {"word": f"{item.word:#018x}", "name": WORDS[item.word].name}
    if isinstance(item, Command):
        known = COMMANDS.get(item.number)
        return {"name": known.name if known else "unknown"}
    if isinstance(item, Message):
        return {"name": item.name}
    return {}
