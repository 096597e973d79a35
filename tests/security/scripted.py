"""A source made of bytes that also keeps migemu's extension's promises, as our own destination has them.

The words, and the rows they are put in, are those that are played to real QEMUs: migemu/qemu/hostile.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from migemu.qemu.hostile.script import DATA, DEVICE_SECTION, PAGE, PAGES, Script
from migemu.qemu.hostile.shape import CHANNELS, Shape
from migemu.ram import PageDigests
from migemu.vfio.content import digest_maker
from migemu.wire import extension, mainwriter, returnpath

if TYPE_CHECKING:
    import socket

__all__ = ["CHANNELS", "CONFIG", "DATA", "DEVICE", "DEVICE_SECTION", "PAGE", "PAGES", "UUID", "Scripted"]

DEVICE = "0000:00:01.0/vfio"
CONFIG = b"config" * 40
UUID = bytes(range(16))
GIC_SECTION = 17
OURS = Shape("pc-q35-11.1", "pc.ram", PAGES * PAGE, uuid=UUID, devices=(DEVICE,), config=CONFIG, ready=True)


class Scripted(Script):
    """A source whose every step is the test's.

    Args:
        address: where the destination listens.
        extended: announce migemu's extension, and keep its promises (digests, START).
    """

    def __init__(self, address: tuple[str, int], *, extended: bool = True) -> None:
        super().__init__(address, OURS)
        self.extended = extended

    def announce(self) -> None:
        if self.extended:
            said = extension.encode_announcement("0.1.0", extension.FEATURES)
            self.say(mainwriter.command(extension.CMD_EXTENSION, said))

    def platform(self) -> bytes:
        """The interrupt controller, without which no config may be loaded here."""
        head = mainwriter.section_full(GIC_SECTION, "migemu-gic", 0, 1)
        return head + mainwriter.sized_body(b"gic") + mainwriter.footer(GIC_SECTION)

    def digests(self) -> dict[str, Any]:
        """What must have arrived."""
        data, config = digest_maker("xxh3_128")(), digest_maker("xxh3_128")()
        data.update(b"".join(DATA))
        config.update(CONFIG)
        ram = PageDigests(PAGES, "source")
        if self.sent:
            ram.update_in_place(self.ram, np.array(sorted(self.sent), np.int64))
        device = {"data": data.hexdigest(), "bytes": 3 * 65536, "config": config.hexdigest()}
        return {"devices": {DEVICE: device}, "ram": ram.digest()}

    def ending(self, *, vmdesc: bool = True) -> None:
        if self.extended:
            for part in extension.split_parts(json.dumps(self.digests()).encode()):
                self.say(mainwriter.command(extension.CMD_DIGESTS, part))
        super().ending(vmdesc=vmdesc)

    def commit(self) -> None:
        """Give the VM up once it is loaded there."""
        if self.extended and self.hear(returnpath.LOADED):
            self.say(mainwriter.command(extension.CMD_START))
        self.hear(returnpath.SHUT)

    def refused(self, connection: socket.socket) -> bool:
        """It must be: whoever is not wanted is turned away."""
        assert super().refused(connection), "the connection is still open"
        return True

    def told(self) -> str:
        self.hear(returnpath.FAILED)
        return "".join(m.data.decode() for m in self.messages if m.type == returnpath.FAILED)
