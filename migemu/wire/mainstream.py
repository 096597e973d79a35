"""The main stream's vocabulary: record bytes, RAM words, commands.

Facts from QEMU's ``migration/savevm.c`` and ``migration/ram.c``, checked against streams of 7.2, 10.0 and
11.1. All integers on this stream are big endian.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from migemu.wire import extension

STREAM_VERSION: Final = 3

EOF: Final = 0x00
SECTION_START: Final = 0x01
SECTION_PART: Final = 0x02
SECTION_END: Final = 0x03
SECTION_FULL: Final = 0x04
SUBSECTION: Final = 0x05
VMDESCRIPTION: Final = 0x06
CONFIGURATION: Final = 0x07
COMMAND: Final = 0x08
FOOTER: Final = 0x7E

CONFIGURATION_CAPABILITIES: Final = "configuration/capabilities"
CONFIGURATION_UUID: Final = "configuration/uuid"
CONFIGURATION_PAGE_BITS: Final = "configuration/target-page-bits"

RAM_ZERO: Final = 0x002
RAM_MEM_SIZE: Final = 0x004
RAM_PAGE: Final = 0x008
RAM_EOS: Final = 0x010
RAM_CONTINUE: Final = 0x020
RAM_MULTIFD_FLUSH: Final = 0x200

RAM_UNSUPPORTED: Final = {0x040: "XBZRLE", 0x080: "HOOK (RDMA)", 0x100: "COMPRESS_PAGE"}
"""Words of capabilities that migemu does not speak."""

RAM_SECTION: Final = "ram"
RAM_SECTION_VERSION: Final = 4
VFIO_SECTION_VERSION: Final = 1
INTERRUPT_CONTROLLER: Final = "migemu-gic"
"""migemu's own: the platform's interrupt controller; its section precedes every device's, as GICv3's does by
its priority in QEMU."""

OPEN_RETURN_PATH: Final = 1
PING: Final = 2
POSTCOPY_ADVISE: Final = 3
PACKAGED: Final = 7
SWITCHOVER_START: Final = 11


class CommandKind(NamedTuple):
    """A command."""

    name: str
    lengths: frozenset[int] | None
    """Bytes its data may have; None: any."""


def _kind(name: str, *lengths: int) -> CommandKind:
    return CommandKind(name, frozenset(lengths) or None)


COMMANDS: Final = {
    OPEN_RETURN_PATH: _kind("OPEN_RETURN_PATH", 0),
    PING: _kind("PING", 4),
    POSTCOPY_ADVISE: _kind("POSTCOPY_ADVISE", 0, 16),
    4: _kind("POSTCOPY_LISTEN", 0),
    5: _kind("POSTCOPY_RUN", 0),
    6: _kind("POSTCOPY_RAM_DISCARD"),
    PACKAGED: _kind("PACKAGED", 4),
    8: _kind("ENABLE_COLO", 0),
    9: _kind("POSTCOPY_RESUME", 0),
    10: _kind("RECV_BITMAP"),
    SWITCHOVER_START: _kind("SWITCHOVER_START", 0),
    extension.CMD_EXTENSION: _kind("EXTENSION"),
    extension.CMD_SEND_NON_ITERABLE: _kind("SEND_NON_ITERABLE", 0),
    extension.CMD_DIGESTS: _kind("DIGESTS"),
    extension.CMD_START: _kind("START", 0),
    extension.CMD_CLOCK: _kind("CLOCK", 8),
    extension.CMD_FAILED: _kind("FAILED"),
}
"""Every command a stream may carry; QEMU refuses a number or a length it does not know, and so do we."""
