"""The return path: what the destination says on the main connection.

A message is u16 type, u16 length, data, big endian. Types and lengths are a table; a type or length that is
not in it is refused, as QEMU 7.2 to 11.1 refuse them. The types from 0x6d01 on are migemu's own and travel
only after both sides have announced the extension (:mod:`migemu.wire.extension`).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.errors import TruncatedError, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHUT: Final = 1
PONG: Final = 2
REQ_PAGES_ID: Final = 3
REQ_PAGES: Final = 4
RECV_BITMAP: Final = 5
RESUME_ACK: Final = 6
SWITCHOVER_ACK: Final = 7
EXTENSION_ACK: Final = 0x6D01
CLOCK: Final = 0x6D02
LOADED: Final = 0x6D03
FAILED: Final = 0x6D04
ALIVE: Final = 0x6D05

MAX_DATA: Final = 0xFFFF


class Kind(NamedTuple):
    """A type of message."""

    name: str
    length: int | None
    """Bytes of its data; None: any."""


MESSAGES: Final = {
    SHUT: Kind("SHUT", 4),  # u32 status, 0 is success
    PONG: Kind("PONG", 4),  # u32, what the PING said
    REQ_PAGES_ID: Kind("REQ_PAGES_ID", None),
    REQ_PAGES: Kind("REQ_PAGES", 12),
    RECV_BITMAP: Kind("RECV_BITMAP", None),
    RESUME_ACK: Kind("RESUME_ACK", 4),
    SWITCHOVER_ACK: Kind("SWITCHOVER_ACK", 0),
    EXTENSION_ACK: Kind("EXTENSION_ACK", None),
    CLOCK: Kind("CLOCK", 16),
    LOADED: Kind("LOADED", None),
    FAILED: Kind("FAILED", None),
    ALIVE: Kind("ALIVE", 0),
}

_HEAD: Final = struct.Struct(">HH")


class Message(NamedTuple):
    """One message."""

    type: int
    data: bytes = b""

    @property
    def name(self) -> str:
        """Its type in words."""
        return MESSAGES[self.type].name if self.type in MESSAGES else f"{self.type:#x}"


def encode(message_type: int, data: bytes = b"") -> bytes:
    """The bytes of one message.

    Raises:
        WireError: an unknown type or a length it does not have.
    """
    _check(message_type, len(data))
    return _HEAD.pack(message_type, len(data)) + data


def shut(status: int = 0) -> bytes:
    """SHUT: the destination is done; any status but 0 is failure."""
    return encode(SHUT, status.to_bytes(4))


def pong(value: int) -> bytes:
    """PONG: the answer to PING `value`."""
    return encode(PONG, value.to_bytes(4))


def _check(message_type: int, length: int) -> None:
    kind = MESSAGES.get(message_type)
    if kind is None:
        raise WireError(f"unknown return path message {message_type:#x} of {length} bytes")
    if (length if kind.length is None else kind.length) != length or length > MAX_DATA:
        wanted = f"at most {MAX_DATA}" if kind.length is None else kind.length
        raise WireError(f"return path message {kind.name} has {length} bytes, expected {wanted}")


class ReturnPathReader:
    """Turns the source's incoming bytes into messages."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """The messages that `data` completes.

        Raises:
            WireError: an unknown type or a wrong length; known as soon as the four bytes of its head are.
        """
        self._pending += bytes(data)
        messages = list(self._complete())
        self._pending = self._pending[sum(_HEAD.size + len(message.data) for message in messages) :]
        return messages

    def _complete(self) -> Iterator[Message]:
        at = 0
        while len(self._pending) >= at + _HEAD.size:
            message_type, length = _HEAD.unpack_from(self._pending, at)
            _check(message_type, length)
            end = at + _HEAD.size + length
            if end > len(self._pending):
                return
            yield Message(message_type, self._pending[at + _HEAD.size : end])
            at = end

    def ended(self) -> None:
        """The connection closed.

        Raises:
            TruncatedError: inside a message.
        """
        if self._pending:
            raise TruncatedError(
                f"the return path ended inside a message, {len(self._pending)} bytes into it"
            )
