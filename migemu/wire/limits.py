"""How much a peer may announce before it is refused.

Every length, count and name on the wire is held against one of these before anything is allocated for
it. A limit that is met raises :class:`~migemu.errors.LimitError` and names itself as ``limits.<field>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from migemu.errors import LimitError

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class WireLimits:
    """The limits of one connection; all sizes in bytes."""

    max_payload: int = 1024 * MIB
    """Of one device-state packet, one compressed RAM packet or one VFIO data block on the main channel.
    Memory behind it is touched only as bytes arrive."""
    max_section_string: int = 1024
    """Of the machine type's name in CONFIGURATION."""
    max_capabilities: int = 256
    """Names in CONFIGURATION's capability list; QEMU sends at most two."""
    max_command: int = 64 * 1024
    """Of a COMMAND's data."""
    max_sections: int = 4096
    """Different section ids in one stream."""
    max_ram_blocks: int = 4096
    """Blocks in one RAM block list."""
    max_pci_config: int = 128 * 1024
    """Of a PCI config state whose end only its end mark tells (QEMU's own, multifd transfer off); it must
    fit the landing area with room to spare, so 190,000 is the most that works."""
    max_non_iterable: int = 64 * MIB
    """Of one opaque section body, and of all device sections that have no codec together."""
    max_vmdesc: int = 16 * MIB
    """Of the JSON description that ends the stream."""

    def check(self, name: str, value: int, what: str) -> int:
        """Hold `value` against the field `name`; returns it.

        Raises:
            LimitError: it is above.
        """
        most = getattr(self, name)
        if value > most:
            raise LimitError(f"{what}: {value} is above limits.{name} = {most}", limit=f"limits.{name}")
        return value


DEFAULT_LIMITS: Final = WireLimits()
