"""Tokens: a schedule as a short word that can be pasted into a mail and replayed exactly.

``mig1`` + base32 of: 6 bytes of the scenario's hash, the rules where they are not the default (JSON), the
deviations as (zeros before it, choice) pairs, and a CRC-32 over all of it. Base32 has no signs a shell or a
line break would hurt, and no case.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from base64 import b32decode, b32encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.errors import ScheduleError
from migemu.lab.explore.narrate import trimmed
from migemu.threads.controlled_rules import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "mig"
VERSION = 1
HASH_SIZE = 6
MAX_DECISIONS = 1 << 20
MAX_TOKEN = 1 << 16


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says."""

    scenario: bytes
    """The first bytes of the hash of the scenario it belongs to."""

    rules: Rules
    decisions: tuple[int, ...]


def encode(decisions: Sequence[int], scenario: str, rules: Rules | None = None) -> str:
    """The token of a schedule.

    Args:
        decisions: the schedule.
        scenario: a text that is different for a different system: its hash, its effective configuration.
        rules: under which the schedule was made.
    """
    told = _rules_to_text(rules or Rules()).encode()
    body = _fingerprint(scenario) + _number(len(told)) + told + _deviations(decisions)
    checked = body + zlib.crc32(body).to_bytes(4, "big")
    return f"{PREFIX}{VERSION}{b32encode(checked).decode().rstrip('=').lower()}"


def decode(token: str, scenario: str | None = None) -> Token:
    """What `token` says.

    Args:
        token: as `encode` made it; white space and case do not matter.
        scenario: as given to `encode`; None to not compare it.

    Raises:
        ScheduleError: it is damaged, of another format version, or of another scenario.
    """
    body = _checked(token)
    fingerprint, rest = body[:HASH_SIZE], body[HASH_SIZE:]
    if scenario is not None and fingerprint != _fingerprint(scenario):
        raise ScheduleError(
            f"the token belongs to scenario {fingerprint.hex()}, this is {_fingerprint(scenario).hex()}: "
            "replay it with the scenario, variant and version of migemu it was made with"
        )
    reader = _Reader(rest)
    rules = _rules_from_text(reader.take(reader.number()))
    return Token(fingerprint, rules, reader.decisions())


def _checked(token: str) -> bytes:
    """The bytes of `token`, whole and of our version."""
    text = "".join(token.split()).lower()
    if not text.startswith(PREFIX) or len(text) > MAX_TOKEN:
        raise ScheduleError(f"not a schedule token: it should begin with {PREFIX}{VERSION}")
    if not text.startswith(f"{PREFIX}{VERSION}"):
        raise ScheduleError(f"the token is of format {text[len(PREFIX)]}, this migemu reads format {VERSION}")
    coded = text[len(PREFIX) + 1 :].upper()
    try:
        raw = b32decode(coded + "=" * (-len(coded) % 8))
    except ValueError:
        raise ScheduleError("the token has signs that no token has: copy it again") from None
    body, crc = raw[:-4], raw[-4:]
    if len(body) <= HASH_SIZE or zlib.crc32(body).to_bytes(4, "big") != crc:
        raise ScheduleError("the token is damaged (its checksum does not fit): copy it again")
    return body


def _fingerprint(scenario: str) -> bytes:
    return hashlib.sha256(scenario.encode()).digest()[:HASH_SIZE]


def _rules_to_text(rules: Rules) -> str:
    """The rules as JSON; empty for the default."""
    told = rules.as_dict()
    return json.dumps(told, separators=(",", ":")) if told else ""


def _rules_from_text(told: bytes) -> Rules:
    try:
        return Rules.from_dict(json.loads(told)) if told else Rules()
    except (ValueError, TypeError, AttributeError):
        raise ScheduleError("the token's rules cannot be read") from None


def _deviations(decisions: Sequence[int]) -> bytes:
    """The schedule as pairs: zeros before a deviation, and the deviation."""
    out = bytearray()
    zeros = 0
    for choice in trimmed(decisions):
        if choice:
            out += _number(zeros) + _number(choice)
            zeros = 0
        else:
            zeros += 1
    return bytes(out)


def _number(value: int) -> bytes:
    """A number in 7-bit groups, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class _Reader:
    """Reads numbers and bytes; a token that passed its checksum can still be nonsense."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ScheduleError("the token ends too early")
        self._at += size
        return taken

    def number(self) -> int:
        """The next number."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 28:
                raise ScheduleError("the token has a number out of range")

    def decisions(self) -> tuple[int, ...]:
        """The rest, as a schedule."""
        decisions: list[int] = []
        while self._at < len(self._data):
            zeros, choice = self.number(), self.number()
            if len(decisions) + zeros >= MAX_DECISIONS:
                raise ScheduleError("the token's schedule is too long")
            decisions += [0] * zeros
            decisions.append(choice)
        return tuple(decisions)
