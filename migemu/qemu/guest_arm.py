"""The guest of an ARM64 machine: it halts at once, as the PC's does that writes nothing.

It begins at address 0, where `virt` has its flash, in the exception level QEMU starts in; no memory is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PROCESSOR: Final = "cortex-a57"
"""ARMv8.0 with GICv3's system registers: every `virt` since 3.1 takes it."""

_HALT: Final = bytes.fromhex(
    "df4f03d5"  # msr daifset, #15: no interrupt or exception is taken
    "7f2003d5"  # wfi
    "ffffff17"  # b to the instruction before
)


def firmware(path: Path) -> list[str]:
    """QEMU's options for that guest; the image is put at `path`."""
    path.write_bytes(_HALT)
    return ["-bios", str(path), "-cpu", PROCESSOR]
