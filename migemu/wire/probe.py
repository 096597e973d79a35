"""Asking a destination whether it is ready, without taking part in its migration.

This is migemu's own and not QEMU's: a fourth kind of first bytes beside the main stream's, multifd's and
silence. The asker sends the question and nothing else; the destination answers with one record and closes.
Neither side keeps anything of it, and no slot of the migration is touched. (A QEMU takes its first
connection for the migration, so never ask one.)

    question    4 bytes   b"mgm?"
    answer      4 bytes   b"mgm!"
                u16       length of what follows
                JSON      {"migemu": version, "state": "waiting" | "connecting" | "migrating" | "running"}
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Final

from migemu.errors import WireError
from migemu.wire.text import decode_object

QUESTION: Final = b"mgm?"
ANSWER: Final = b"mgm!"

STATES: Final = {
    "waiting": "waits for its source",
    "connecting": "has some of its channels",
    "migrating": "is migrating",
    "running": "runs the VM",
}
"""What a destination may be doing, and how to say it."""

MAX_ANSWER: Final = 1024
"""Bytes of JSON that an answer may have."""

_HEAD = struct.Struct(">4sH")


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a destination says of itself."""

    migemu: str
    """Its version."""
    state: str
    """One of :data:`STATES`."""

    def encode(self) -> bytes:
        """The answer as it travels."""
        body = json.dumps(asdict(self)).encode()
        return _HEAD.pack(ANSWER, len(body)) + body


def decode_readiness(data: bytes) -> Readiness | None:
    """Read an answer; None while it is a beginning of one and more must come.

    Raises:
        WireError: this is not an answer, so whatever listens there is not a migemu destination.
    """
    if not ANSWER.startswith(data[:4]):
        raise WireError(f"the answer begins with {data[:4].hex()}, not with {ANSWER.hex()}")
    if len(data) < _HEAD.size:
        return None
    length = _HEAD.unpack_from(data)[1]
    if length > MAX_ANSWER:
        raise WireError(f"an answer of {length} bytes; a destination says at most {MAX_ANSWER}")
    body = data[_HEAD.size : _HEAD.size + length]
    return _read(body) if len(body) == length else None


def _read(body: bytes) -> Readiness:
    said = decode_object(body, "the answer")
    version, state = said.get("migemu"), said.get("state")
    if not isinstance(version, str) or not isinstance(state, str) or state not in STATES:
        raise WireError(f"the answer is not a destination's: version {version!r}, state {state!r}")
    return Readiness(version, state)
