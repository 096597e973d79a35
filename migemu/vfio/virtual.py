"""Content without bytes, for runs in virtual time: a place, a size, and a digest that knows them.

64 devices of 1 GiB need not be moved to see in which order and when they would be. The same devices,
reassembly and flow carry these spans; what was lost, doubled, swapped or cut short still shows, because the
digest is over the runs of content that went by, whatever the pieces they came in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from migemu.vfio.content import Loose

if TYPE_CHECKING:
    from migemu.vfio.content import Payload, Span


@dataclass(frozen=True, slots=True)
class VirtualSpan:
    """`size` bytes of the image `image`, from `offset` on."""

    image: str
    offset: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: slice, /) -> VirtualSpan:
        start, stop, step = key.indices(self.size)
        if step != 1:
            raise ValueError("content is cut, not strided")
        return VirtualSpan(self.image, self.offset + start, max(stop - start, 0))


class VirtualDigest:
    """A digest of spans: adjoining ones are one run, so the pieces do not matter but their order does."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._run = VirtualSpan("", 0, 0)

    def update(self, span: Span | bytes | VirtualSpan, /) -> None:
        """Take in `span`, a virtual one or the bytes of a config."""
        if not isinstance(span, VirtualSpan):
            self._flush(VirtualSpan("", 0, 0))
            self._hash.update(span)
        elif (span.image, span.offset) == (self._run.image, self._run.offset + self._run.size):
            self._run = VirtualSpan(span.image, self._run.offset, self._run.size + span.size)
        elif span.size:
            self._flush(span)

    def hexdigest(self) -> str:
        """The digest so far, in hexadecimal."""
        copy = self._hash.copy()
        copy.update(_line(self._run))
        return copy.hexdigest()

    def _flush(self, following: VirtualSpan) -> None:
        self._hash.update(_line(self._run))
        self._run = following


class VirtualSource:
    """An image of `size` bytes that is only said to exist."""

    def __init__(self, image: str, size: int) -> None:
        self.image = image
        self.size = size

    def read(self, offset: int, size: int) -> Payload:
        """A span of it."""
        return Loose(cast("Span", VirtualSpan(self.image, offset, size)))

    def close(self) -> None:
        """Nothing is held open."""


class VirtualSink:
    """Takes everything at once and keeps nothing."""

    def write(self, span: Span) -> int:
        """All of it."""
        return len(span)

    def commit(self) -> None:
        """Nothing to keep."""

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing is held open."""


def _line(run: VirtualSpan) -> bytes:
    return f"{run.image} {run.offset} {run.size}\n".encode() if run.size else b""
