"""What a machine type decides about the stream, as data (QEMU: hw_compat_* in hw/core/machine.c).

A machine type is a promise to older versions, so it, and not the version of the program, says which marks
the stream carries. The destination learns it from the CONFIGURATION record or from its own setting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NEWEST = (99, 0)


@dataclass(frozen=True, slots=True)
class MachineType:
    """A version of the machine and the flags that follow from it."""

    version: tuple[int, int]

    @property
    def flush_word(self) -> bool:
        """RAM barriers are MULTIFD_FLUSH words (8.1+); before, every EOS is one."""
        return self.version >= (8, 1)

    @property
    def zero_pages_in_packets(self) -> bool:
        """Multifd packets list zero pages (9.0+); before, they are words on the main channel."""
        return self.version >= (9, 0)

    @property
    def switchover_start(self) -> bool:
        """MIG_CMD_SWITCHOVER_START is sent (send-switchover-start, 10.0+)."""
        return self.version >= (10, 0)

    def __str__(self) -> str:
        return "unversioned" if self.version == NEWEST else "{}.{}".format(*self.version)


def machine_type(name: str) -> MachineType:
    """Read a machine's version from its name: ``11.1``, ``pc-q35-10.0``, ``pc-i440fx-7.2``.

    A name without a version (``none``, ``q35``) follows its program, so it counts as the newest.
    """
    found = re.search(r"(\d+)\.(\d+)$", name)
    return MachineType((int(found[1]), int(found[2])) if found else NEWEST)
