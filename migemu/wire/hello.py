"""The first bytes of a connection: which channel is this.

Connections are accepted in any order, so a channel is known by what it says and never by when it came
(QEMU 8.0, 6720c2b32725; 7.2 takes the first one for main). The main channel begins with the file
header's magic, a multifd channel with a 64-byte hello, all big endian::

    0   u32   magic 0x11223344
    4   u32   version 1
    8   16    VM uuid, zero when none was configured
    24  u8    channel id, 0 .. channels - 1
    25  39    reserved: zero, ignored on receipt
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

from migemu.errors import WireError

HELLO_SIZE: Final = 64
MULTIFD_MAGIC: Final = 0x11223344
MULTIFD_VERSION: Final = 1
VM_MAGIC: Final = 0x5145564D
"""``QEVM``."""

_HELLO: Final = struct.Struct(">II16sB39x")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a multifd channel says of itself."""

    uuid: bytes
    """The VM's, 16 bytes."""
    channel: int
    """Its id, 0..255."""

    def encode(self) -> bytes:
        """The 64 bytes.

        Raises:
            WireError: the uuid or the id has no place in them.
        """
        if len(self.uuid) != 16 or not 0 <= self.channel <= 255:
            raise WireError(f"no hello has channel id {self.channel} and a uuid of {len(self.uuid)} bytes")
        return _HELLO.pack(MULTIFD_MAGIC, MULTIFD_VERSION, self.uuid, self.channel)

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Read the 64 bytes.

        Raises:
            WireError: wrong size, magic or version.
        """
        if len(data) != HELLO_SIZE:
            raise WireError(f"a multifd hello has {HELLO_SIZE} bytes, not {len(data)}")
        magic, version, uuid, channel = _HELLO.unpack(data)
        if magic != MULTIFD_MAGIC:
            raise WireError(f"received hello magic {magic:#x}, expected {MULTIFD_MAGIC:#x}")
        if version != MULTIFD_VERSION:
            raise WireError(f"received hello version {version}, expected {MULTIFD_VERSION}")
        return cls(uuid, channel)


def identify(first4: bytes) -> Literal["main", "multifd"]:
    """Tell the channels apart by the first four bytes.

    Raises:
        WireError: neither; the peer speaks something else.
    """
    magic = int.from_bytes(first4)
    if magic == VM_MAGIC:
        return "main"
    if magic == MULTIFD_MAGIC:
        return "multifd"
    raise WireError(f"unknown channel magic {first4.hex()}: the peer is no migration source")
