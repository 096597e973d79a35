"""How much the kernel may hold of each multifd channel between two processes of one machine.

Left alone the kernel lets every connection have MiB under way, 64 of them hundreds. All of that passes
through main memory instead of the caches, and the later a device's next packet comes out of some channel, the
more of the others queue up behind it. So channels that are many are given little room each, and the
destination takes one packet from each in turn: a loop that reads one channel until it is empty brings them
out of order again. On a real network the bytes under way are what fills it, so there the kernel decides; as
it does for packets of other sizes than QEMU's, which gain nothing.
"""

from __future__ import annotations

import ipaddress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOMS: Final[Sequence[tuple[range, int]]] = (
    (range(8, 25), 512 << 10),
    (range(16, 256), 256 << 10),
    (range(16, 256), 200 << 10),
)
"""Numbers of channels, and bytes for the send buffer of each; the first that the machine allows holds. The
kernel doubles them for its own use, so the largest one takes a packet of 1 MiB; the smallest is allowed on
every Linux. Measured: docs/performance.md."""

PACKETS: Final = range(128 << 10, (1 << 20) + 1)
"""Bytes of the packets that it is for."""


def send_room(channels: int, packet: int, peer: object) -> int | None:
    """Bytes for each channel's ``SO_SNDBUF``; None where the kernel decides.

    Both sides ask, and get the same answer since they are on one machine; over TLS neither does.

    Args:
        channels: how many there are.
        packet: bytes of device data in a packet.
        peer: the address at the other end, as a socket gives it.
    """
    if packet not in PACKETS or not _here(peer):
        return None
    rooms = (room for counts, room in ROOMS if channels in counts and room <= _allowed())
    return next(rooms, None)


def _here(peer: object) -> bool:
    """Whether that is an address of loopback."""
    host = peer[0] if isinstance(peer, tuple) and peer else ""
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@cache
def _allowed() -> int:
    """The largest send buffer that a program may ask for: ``net.core.wmem_max``, in bytes."""
    try:
        return int(Path("/proc/sys/net/core/wmem_max").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
