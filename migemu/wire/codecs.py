"""Which sections' bodies can be read as they arrive.

A section's body is not length prefixed: only its device knows where it ends. For the sections of this
table the wire alone tells. The first one that is not in it, and all behind it, stay opaque until the JSON
description at the stream's end says what they are (:mod:`migemu.wire.tail`).
"""

from __future__ import annotations

from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.wire.mainstream import RAM_SECTION

if TYPE_CHECKING:
    from collections.abc import Sequence


class Body(Enum):
    """The form of a section's body."""

    RAM = "ram"
    """Words with flags in the page-offset bits, up to EOS."""
    VFIO = "vfio"
    """Marks, up to one that ends the section."""
    FIXED = "fixed"
    """Always the same number of bytes."""
    SIZED = "sized"
    """u32 length, then that many bytes: migemu's own non-iterables."""


class Codec(NamedTuple):
    """How the bodies of some sections are read."""

    pattern: str
    """Shell pattern over the section's idstr."""
    body: Body
    size: int = 0
    """Bytes of a fixed body."""


CODECS: Final = (
    Codec(RAM_SECTION, Body.RAM),
    Codec("*/vfio", Body.VFIO),
    Codec("vfio", Body.VFIO),  # a device without a path
    Codec("timer", Body.FIXED, 24),
    Codec("globalstate", Body.FIXED, 104),
    Codec("migemu-*", Body.SIZED),
)
"""The sections of a QEMU without machine (`-M none`), of VFIO devices, and of migemu."""


def find_codec(codecs: Sequence[Codec], idstr: str) -> Codec | None:
    """The first codec for `idstr`."""
    return next((codec for codec in codecs if fnmatchcase(idstr, codec.pattern)), None)
