"""Random choices from a seed: the same on every machine and in every version of Python, and cheap to begin.

``random.Random`` takes longer to seed than a schedule takes to run a tenth of its steps; a hash stream does
not, and says by itself what a seed means.
"""

from __future__ import annotations

from hashlib import shake_128

FIRST = 256
"""Bytes made at once; more are made when they are used up, twice as many each time."""


class Dice:
    """A stream of bytes that belongs to a seed."""

    __slots__ = ("_at", "_bytes", "_name")

    def __init__(self, seed: int, salt: str = "") -> None:
        self._name = f"{salt}{seed}".encode()
        self._bytes = shake_128(self._name).digest(FIRST)
        self._at = 0

    def roll(self, options: int) -> int:
        """A number below `options`; as good as uniform, up to a few thousand."""
        return self.number() * options >> 16

    def number(self) -> int:
        """A number below 65536."""
        at = self._at
        self._at = at + 2
        while at + 2 > len(self._bytes):
            self._bytes = shake_128(self._name).digest(2 * len(self._bytes))
        return self._bytes[at] << 8 | self._bytes[at + 1]

    def fraction(self) -> float:
        """A number from 0 to 1, without 1."""
        return self.number() / 65536
