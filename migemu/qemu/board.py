"""The machines of QEMU's targets: how each is called, what stands on it, what its devices must wait for.

Two targets: a PC (q35), and ARM64's `virt`, whose interrupt controller is state of the VM that a device's
config must not come before (B2 of the catalogue). On both, VFIO devices sit on one PCI Express root bus with
the host bridge in slot 0, and a page has 4 KiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Board:
    """A target's machine."""

    target: str
    """As in ``qemu-system-TARGET``."""
    alias: str
    """Its newest machine type's short name."""
    machines: str
    """What the names of its versioned machine types begin with."""
    options: str
    """What is said after such a name."""
    block: str
    """Its RAM block, as the machine itself would call it."""
    writes: bool
    """Whether there is a guest for it that writes to RAM; else its guest only halts."""
    page_bits: int | None = None
    """Of a target whose machines have pages of several sizes: which this one has, as its stream says it."""
    interrupt_controller: str = ""
    """Section of the interrupt controller that a device's config must come after; empty: none must."""

    @property
    def newest(self) -> str:
        """The newest machine type, as ``-machine`` takes it."""
        return self.alias + self.options

    def machine(self, version: tuple[int, ...]) -> str:
        """The machine type of a version, as ``-machine`` takes it."""
        return self.machines + ".".join(map(str, version)) + self.options


PC: Final = Board("x86_64", "q35", "pc-q35-", "", "pc.ram", writes=True)

VIRT: Final = Board(
    "aarch64",
    "virt",
    "virt-",
    ",gic-version=3",
    "mach-virt.ram",
    writes=False,
    page_bits=12,
    interrupt_controller="arm_gicv3",
)

BOARDS: Final = {board.target: board for board in (PC, VIRT)}


def board_of_machine(name: str) -> Board:
    """The board of a machine type, by its whole name; one that is unknown is a PC's."""
    return next((board for board in BOARDS.values() if f"{name}-".startswith(board.machines)), PC)


def board_of(program: str) -> Board:
    """The board of a QEMU program, by its name; one that does not tell is a PC's."""
    return next((board for target, board in BOARDS.items() if program.endswith(target)), PC)
