"""What flows through a device: content in pieces, and digests of it.

Nothing in this room looks inside the bytes: it asks for the length of a piece and cuts it, that is all. Over
sockets a piece is a ``memoryview``; in virtual time it is a place and a size that answers the same two
questions (:class:`migemu.vfio.virtual.VirtualSpan`), and the same device, reassembly and flow code carries
it.

A digest is fed the very spans that leave a source's data fd or enter a destination's, in that order. Both
``xxhash`` and ``hashlib`` let go of the interpreter lock for large pieces.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np
import xxhash

from migemu.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


ALONE_FROM: Final = 64 * 1024
"""Bytes from which a copy lets go of the interpreter; to get it back from another thread takes longer than to
copy less."""


Span: TypeAlias = memoryview
"""A piece of content: ``len()`` is its size in bytes, slices are spans again."""


class Payload(Protocol):
    """A span with an owner: a pooled buffer, a piece of a mapping. ``release`` may be called twice."""

    @property
    def view(self) -> Span:
        """The content; not to be touched after :meth:`release`."""
        ...

    def release(self) -> None:
        """Give the memory back."""
        ...


class Digest(Protocol):
    """A running digest; independent of how the content was cut."""

    def update(self, span: Span | bytes, /) -> None:
        """Take in `span`."""
        ...

    def hexdigest(self) -> str:
        """The digest so far, in hexadecimal."""
        ...


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class BytesDigest:
    """A digest of real bytes."""

    __slots__ = ("_hash",)

    def __init__(self, hasher: _Hash) -> None:
        self._hash = hasher

    def update(self, span: Span | bytes, /) -> None:
        """Take in `span`."""
        self._hash.update(as_bytes(span))

    def hexdigest(self) -> str:
        """The digest so far, in hexadecimal."""
        return self._hash.hexdigest()


class Loose:
    """A payload that owns nothing: for content whose memory somebody else keeps."""

    __slots__ = ("_view",)

    def __init__(self, view: Span) -> None:
        self._view = view

    @property
    def view(self) -> Span:
        """The content."""
        return self._view

    def release(self) -> None:
        """Nothing to give back."""


def as_bytes(span: Span | bytes) -> memoryview:
    """The bytes of a real span, or of something small such as a config.

    Raises:
        TypeError: the span has no bytes, it belongs to a run in virtual time.
    """
    if not isinstance(span, (memoryview, bytes)):
        raise TypeError(f"{type(span).__name__} has no bytes: a virtual span reached real code")
    return memoryview(span)


def copy(target: memoryview, content: memoryview) -> None:
    """Copy bytes of the same number; lets go of the interpreter while much is copied."""
    if len(content) < ALONE_FROM:
        target[:] = content
    else:
        np.copyto(np.frombuffer(target, dtype=np.uint8), np.frombuffer(content, dtype=np.uint8))


DIGESTS: dict[str, Callable[[], Digest]] = {
    "xxh3_128": lambda: BytesDigest(xxhash.xxh3_128()),
    "sha256": lambda: BytesDigest(hashlib.sha256()),
}
"""Digest makers by the name a scenario uses."""


def digest_maker(name: str) -> Callable[[], Digest]:
    """The maker of digests called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return DIGESTS[name]
    except KeyError:
        raise ConfigError(f"unknown digest {name!r}: use one of {', '.join(sorted(DIGESTS))}") from None


def digest_of(content: bytes, make: Callable[[], Digest]) -> str:
    """The digest of one whole piece, for example of a config state."""
    digest = make()
    digest.update(content)
    return digest.hexdigest()
