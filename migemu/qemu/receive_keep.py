"""What a migration from a QEMU leaves in ``--save DIR``, beside the capture of its connections.

::

    ram/BLOCK.img                     guest RAM, a file a block
    devices/NAME.state, NAME.config   what each VFIO device was given
    sections.json                     every section of the main channel, named
    description.json                  the stream's own description of its device sections
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from migemu.errors import MigemuError
from migemu.vfio.load import LoadDevice

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.ram import GuestRam
    from migemu.vfio.content import Span


class Keep:
    """A folder of one migration.

    Raises:
        MigemuError: from any method: the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            for part in (folder, folder / "ram", folder / "devices"):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> MigemuError:
        return MigemuError(f"the migration could not be kept in {self.folder}: {error.strerror}")

    def device(self, name: str, kind: str) -> Path:
        """Where a device's state or config goes."""
        return self.folder / "devices" / f"{file_name(name)}.{kind}"

    def config(self, name: str, data: bytes) -> None:
        """A device's config state."""
        self._put(self.device(name, "config"), data)

    def ram(self, ram: GuestRam) -> None:
        """All of guest RAM, a file a block."""
        for block in ram.blocks:
            begin = block.first * (ram.size // len(ram.pages)) if block.pages else 0
            self._put(
                self.folder / "ram" / f"{file_name(block.id)}.img", ram.view[begin : begin + block.size]
            )

    def sections(self, sections: list[dict[str, Any]], description: bytes | None) -> None:
        """What the main channel held."""
        self._put(self.folder / "sections.json", json.dumps(sections, indent=1).encode())
        if description is not None:
            self._put(self.folder / "description.json", description)

    def _put(self, path: Path, data: bytes | memoryview) -> None:
        try:
            with path.open("wb") as file:
                file.write(data)
        except OSError as error:
            raise self._failed(error) from None


def file_name(name: str) -> str:
    """A block's or section's name as a file's."""
    return re.sub(r"[^A-Za-z0-9.:@_-]", "_", name) or "_"


class KeepingDevice(LoadDevice):
    """A device whose config is kept as well."""

    keep: Keep | None = None

    def load_config(self, data: Span | bytes, expected_idx: int) -> None:
        """As for any device."""
        super().load_config(data, expected_idx)
        if self.keep is not None:
            self.keep.config(self.model.name, bytes(data))
