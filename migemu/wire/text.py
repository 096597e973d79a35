"""Names and JSON from the wire: whatever the bytes are, text comes out or a WireError."""

from __future__ import annotations

import json
from typing import Any

from migemu.errors import WireError


def decode_name(raw: bytes, what: str) -> str:
    """A name that can stand in an error line or an event: UTF-8, printable.

    Raises:
        WireError: it is not.
    """
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = ""
    if not name.isprintable() or bool(name) != bool(raw):
        raise WireError(f"{what} is not printable text: {raw[:32].hex()}")
    return name


def padded_name(raw: bytes, what: str) -> str:
    """The name in a NUL-padded field; what follows the first NUL is ignored, as QEMU ignores it.

    Raises:
        WireError: no NUL ends it, or it is not printable text.
    """
    name, nul, _ = raw.partition(b"\0")
    if not nul:
        raise WireError(f"unterminated {what}")
    return decode_name(name, what)


def encode_padded(name: str, size: int, what: str) -> bytes:
    """`name` in a field of `size` bytes with at least one NUL behind it.

    Raises:
        WireError: it does not fit.
    """
    raw = name.encode()
    if len(raw) >= size or b"\0" in raw:
        raise WireError(f"{what} {name!r} does not fit the {size}-byte field")
    return raw.ljust(size, b"\0")


def encode_counted(name: str, what: str) -> bytes:
    """`name` behind a length byte, as the main stream writes ids.

    Raises:
        WireError: it is longer than the byte can say.
    """
    raw = name.encode()
    if len(raw) > 255:
        raise WireError(f"{what} {name!r} is longer than 255 bytes")
    return bytes([len(raw)]) + raw


def decode_object(data: bytes | memoryview, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        WireError: the bytes are something else, or nested beyond reason.
    """
    try:
        value: Any = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise WireError(f"{what} is not JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise WireError(f"{what} is not a JSON object but {type(value).__name__}")
    return value


def encode_object(value: dict[str, Any]) -> bytes:
    """JSON as QEMU spaces it, so that a description read and written again is the same bytes."""
    return json.dumps(value).encode()
