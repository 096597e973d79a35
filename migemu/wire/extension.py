"""What migemu adds to QEMU's wire, announced and absent unless both sides are migemu.

The source announces itself with its first command after CONFIGURATION; a QEMU would refuse the number, so a
source that migrates to a QEMU leaves it out, and then sends none of the rest. Numbers are taken from 0x6d01
("m") on, far from QEMU's small ones. Command lengths are u16, so what may grow travels in parts.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import LimitError, WireError
from migemu.wire import returnpath
from migemu.wire.text import decode_object, encode_object

if TYPE_CHECKING:
    from collections.abc import Iterable

CMD_EXTENSION: Final = 0x6D01
"""JSON: {"migemu": version, "features": [..]}."""
CMD_SEND_NON_ITERABLE: Final = 0x6D02
"""No data: what follows is non-iterable (MIG_CMD_SEND_NON_ITERABLE, proposed by Peter Xu on 20 Sep 2024)."""
CMD_DIGESTS: Final = 0x6D03
"""Parts of a JSON object: the source's digests."""
CMD_START: Final = 0x6D04
"""No data: the source gives the VM up; from here on only the destination may run it."""
CMD_CLOCK: Final = 0x6D05
"""u64: the source's clock in ns."""
CMD_FAILED: Final = 0x6D06
"""UTF-8: why the source gives up; nothing follows it."""

RP_EXTENSION_ACK: Final = returnpath.EXTENSION_ACK
"""JSON like CMD_EXTENSION: the destination is a migemu too, and these features are on."""
RP_CLOCK: Final = returnpath.CLOCK
"""Two u64: the source's clock as CMD_CLOCK said it, the destination's own, both in ns."""
RP_LOADED: Final = returnpath.LOADED
"""Parts of a JSON object: everything is loaded; the destination's digests and verdict."""
RP_FAILED: Final = returnpath.FAILED
"""UTF-8: why the destination gave up."""
RP_ALIVE: Final = returnpath.ALIVE
"""No data: still loading, so that a long load is not taken for a hang."""

FEATURES: Final = ("clock", "digests", "commit", "data-count", "sized-config")
"""What this version announces; an unknown feature of the peer's is ignored, a missing one refused."""

PART_BYTES: Final = 60 * 1024
"""Bytes of one part; with its head it stays below a command's u16 length."""
MAX_WHOLE: Final = 16 << 20
"""Bytes that the parts of one object may add up to."""

_PART: Final = struct.Struct(">HH")
_CLOCK: Final = struct.Struct(">Q")
_CLOCK_REPLY: Final = struct.Struct(">QQ")


def encode_announcement(version: str, features: Iterable[str]) -> bytes:
    """The data of CMD_EXTENSION and RP_EXTENSION_ACK."""
    return encode_object({"migemu": version, "features": list(features)})


def decode_announcement(data: bytes) -> dict[str, Any]:
    """Read an announcement: ``migemu`` is a string, ``features`` a list of strings.

    Raises:
        WireError: it is something else.
    """
    said = decode_object(data, "the extension's announcement")
    features = said.get("features")
    named = isinstance(features, list) and all(isinstance(feature, str) for feature in features)
    if not named or not isinstance(said.get("migemu"), str):
        raise WireError("the extension's announcement lacks its version or its list of features")
    return said


def encode_clock(now_ns: int) -> bytes:
    """The data of CMD_CLOCK."""
    return _CLOCK.pack(now_ns)


def decode_clock(data: bytes) -> int:
    """The source's clock in ns.

    Raises:
        WireError: not 8 bytes.
    """
    return int(_unpack(_CLOCK, data, "CLOCK")[0])


def encode_clock_reply(sent_ns: int, now_ns: int) -> bytes:
    """The data of RP_CLOCK: the source's clock as it came, and the destination's."""
    return _CLOCK_REPLY.pack(sent_ns, now_ns)


def decode_clock_reply(data: bytes) -> tuple[int, int]:
    """The source's clock when it asked and the destination's when it answered, in ns.

    Raises:
        WireError: not 16 bytes.
    """
    sent, theirs = _unpack(_CLOCK_REPLY, data, "CLOCK reply")
    return sent, theirs


def _unpack(form: struct.Struct, data: bytes, what: str) -> tuple[int, ...]:
    if len(data) != form.size:
        raise WireError(f"{what} has {len(data)} bytes, expected {form.size}")
    return form.unpack(data)


def split_parts(whole: bytes, size: int = PART_BYTES) -> list[bytes]:
    """`whole` in parts of at most `size` bytes, each with its number and their count before it.

    Raises:
        LimitError: more than the receiver would put together.
    """
    if len(whole) > MAX_WHOLE:
        raise LimitError(f"{len(whole)} bytes do not travel in parts", limit="extension.MAX_WHOLE")
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)] or [b""]
    return [_PART.pack(number, len(pieces)) + piece for number, piece in enumerate(pieces)]


class PartsReader:
    """Puts the parts of one object after another together again."""

    def __init__(self) -> None:
        self._have = bytearray()
        self._next = 0
        self._count = 0

    def feed(self, part: bytes) -> bytes | None:
        """The whole, when `part` was the last of it.

        Raises:
            WireError: parts out of their order.
            LimitError: they add up to too much.
        """
        number, count = _unpack(_PART, part[: _PART.size], "the head of a part")
        if number != self._next or number >= count or (number and count != self._count):
            raise WireError(f"part {number} of {count} came where {self._next} was expected")
        if len(self._have) + len(part) - _PART.size > MAX_WHOLE:
            raise LimitError("the parts of one object add up to too much", limit="extension.MAX_WHOLE")
        self._have += part[_PART.size :]
        self._next, self._count = number + 1, count
        return self._finish() if self._next == count else None

    def _finish(self) -> bytes:
        whole = bytes(self._have)
        self._have.clear()
        self._next = 0
        return whole
