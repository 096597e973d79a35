"""The JSON description of device sections: what QEMU's analyze-migration reads a stream with.

Only sections whose size no tool can know are described in QEMU (the FULL ones); so are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from migemu.wire.multifd import PAGE_SIZE
from migemu.wire.text import encode_object

if TYPE_CHECKING:
    from collections.abc import Iterable


class Field(NamedTuple):
    """Some bytes of a section, in order."""

    name: str
    type: str
    """QEMU's word: ``uint32``, ``uint64``, ``buffer``, ``unused_buffer`` and the like."""
    size: int
    """Bytes."""


class Device(NamedTuple):
    """One FULL section."""

    idstr: str
    instance: int
    version: int | None
    """Of its fields; None for what QEMU saves by a handler of its own, VFIO devices among them."""
    fields: tuple[Field, ...]


TIMER = Device(
    "timer",
    0,
    2,
    (
        Field("cpu_ticks_offset", "int64", 8),
        Field("unused", "unused_buffer", 8),
        Field("cpu_clock_offset", "int64", 8),
    ),
)
GLOBALSTATE = Device(
    "globalstate",
    0,
    1,
    (
        Field("size", "uint32", 4),
        Field("runstate", "buffer", 32),
        Field("has_vm_was_suspended", "uint8", 1),
        Field("vm_was_suspended", "uint8", 1),
        Field("unused", "buffer", 66),
    ),
)


def sized_device(idstr: str, size: int, instance: int = 0, version: int = 1) -> Device:
    """One of migemu's own sections: its length, then `size` opaque bytes."""
    return Device(idstr, instance, version, (Field("length", "uint32", 4), Field("data", "buffer", size)))


def vfio_device(idstr: str, size: int, instance: int = 0) -> Device:
    """A VFIO device's FULL section of `size` bytes, of which a description says no more than that."""
    return Device(idstr, instance, None, (Field("data", "buffer", size),))


def build(machine: str, devices: Iterable[Device], page_size: int = PAGE_SIZE) -> dict[str, Any]:
    """The description, as 8.0+ lays it out."""
    name_length = Field("len", "uint32", 4), Field("name", "buffer", len(machine.encode()))
    return {
        "configuration": {"vmsd_name": "configuration", "version": 1, "fields": _fields(name_length)},
        "page_size": page_size,
        "devices": [_device(device) for device in devices],
    }


def encode(description: dict[str, Any]) -> bytes:
    """The bytes of the description, spaced as QEMU spaces them."""
    return encode_object(description)


def _device(device: Device) -> dict[str, Any]:
    named = {"name": device.idstr, "instance_id": device.instance}
    if device.version is None:
        head = {"size": sum(field.size for field in device.fields)}
        return {**named, **head, "fields": [_old_style(field) for field in device.fields]}
    return {
        **named,
        "vmsd_name": device.idstr,
        "version": device.version,
        "fields": _fields(device.fields),
    }


def _old_style(field: Field) -> dict[str, Any]:
    return {"name": field.name, "size": field.size, "type": field.type}


def _fields(fields: Iterable[Field]) -> list[dict[str, Any]]:
    return [{"name": field.name, "type": field.type, "size": field.size} for field in fields]
