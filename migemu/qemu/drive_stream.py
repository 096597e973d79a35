"""The main stream and the RAM of a source, as a QEMU of a given machine type would send them.

Three things follow from the machine type: which word is the barrier, where zero pages travel, and whether
SWITCHOVER_START is sent. Without multifd all of RAM travels here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from migemu.handoff.machine_types import MachineType, machine_type
from migemu.qemu.rules import PLATFORM
from migemu.ram.guest import PAGE_SIZE
from migemu.source.ramsend import RamSender
from migemu.source.stream import FIRST_DEVICE_SECTION, RAM_SECTION, Stream
from migemu.wire import mainstream as ms
from migemu.wire import mainwriter
from migemu.wire import vfio as words
from migemu.wire.records import RamBlock

if TYPE_CHECKING:
    import numpy.typing as npt

    from migemu.handoff.design import Design
    from migemu.ram import GuestRam, RamBatch
    from migemu.source.mainwriter import MainWriter
    from migemu.vfio.save import SaveDevice

PLATFORM_SECTION: Final = 1
"""Its number: below RAM's and the devices'."""

TIMER_VERSION, TIMER_BYTES = 2, 24
"""Of QEMU's ``timer``: two clocks' offsets and a spare word, zeros for a VM that starts anew."""

WORD: Final = 8
"""Bytes of a RAM word."""


@dataclass(frozen=True, slots=True)
class Target:
    """The QEMU that is migrated to."""

    machine: str = "none"
    """Its machine type's whole name."""
    block: str = "ram0"
    """The RAM block that the source's RAM is."""
    version: MachineType = field(default_factory=lambda: machine_type("none"))
    """What decides about the wire: the name's version, or what is known of a machine whose name has none."""
    multifd: bool = True
    page_bits: int | None = None
    """What CONFIGURATION must say of the page size, where the target has several."""


class QemuStream(Stream):
    """Writes a QEMU's records."""

    def __init__(self, main: MainWriter, target: Target) -> None:
        super().__init__(main, target.machine)
        self._target = target
        self._barrier = b""
        if target.multifd and target.version.flush_word:
            self._barrier = mainwriter.ram_flush()
        self._zeros: list[bytes] = []

    def begin(self) -> None:
        """File header and CONFIGURATION."""
        configuration = mainwriter.configuration(
            self._machine, uuid=self._uuid, target_page_bits=self._target.page_bits
        )
        self._main.write(mainwriter.file_header() + configuration)
        self._begun = True

    def ram_setup(self, ram: GuestRam) -> None:
        """SECTION_START of RAM: block list and first barrier."""
        blocks = mainwriter.ram_blocks(RamBlock(block.id, block.size) for block in ram.blocks if block.size)
        head = mainwriter.section_start(RAM_SECTION, ms.RAM_SECTION, 0, ms.RAM_SECTION_VERSION)
        self._section(head, blocks)

    def ram_barrier(self, *, last: bool) -> None:
        """SECTION_PART or END of RAM: the zero pages that travel here, and the barrier."""
        head = mainwriter.section_end(RAM_SECTION) if last else mainwriter.section_part(RAM_SECTION)
        zeros, self._zeros = self._zeros, []
        self._section(head, *zeros)
        self._main.flush()

    def _section(self, head: bytes, *body: bytes | memoryview) -> None:
        end = self._barrier + mainwriter.ram_eos() + mainwriter.footer(RAM_SECTION)
        self._main.write(head, *body, end)

    def zero_pages(self, block: str, offsets: npt.NDArray[np.uint64]) -> None:
        """Zero pages of a pass: they are written in front of its barrier."""
        self._zeros.append(zero_words(block, offsets))

    def pages(self, batch: RamBatch) -> int:
        """Multifd is off: a SECTION_PART with these pages; the bytes written."""
        body = [zero_words(batch.block.id, batch.zero_offsets)] if len(batch.zero) else []
        if batch.pages is not None:
            body += page_words(batch.block.id, batch.normal_offsets, batch.pages.view)
            batch.pages.release()
        self._section(mainwriter.section_part(RAM_SECTION), *body)
        return sum(map(len, body))

    def device_full(
        self, number: int, device: SaveDevice, design: Design, *, buffers: int, config: bytes | None
    ) -> None:
        """SECTION_FULL of a VFIO device: a mark, or its config state in QEMU's form.

        In front of the first one stands the platform's: as in a QEMU's stream, and for rules to be about.
        """
        if number == 0:
            head = mainwriter.section_full(PLATFORM_SECTION, PLATFORM, 0, TIMER_VERSION)
            self._main.write(head + bytes(TIMER_BYTES) + mainwriter.footer(PLATFORM_SECTION))
        if config is None:
            super().device_full(number, device, design, buffers=buffers, config=None)
            return
        section = FIRST_DEVICE_SECTION + number
        name, instance = device.model.name, device.model.instance
        head = mainwriter.section_full(section, name, instance, ms.VFIO_SECTION_VERSION)
        body = mainwriter.vfio_config(config) + mainwriter.vfio_word(words.END_OF_STATE)
        self._main.write(head + body + mainwriter.footer(section))


def zero_words(block: str, offsets: npt.NDArray[np.uint64]) -> bytes:
    """ZERO words for these offsets of a block, which the first of them names."""
    rest = np.zeros(len(offsets) - 1, np.dtype([("word", ">u8"), ("fill", "u1")]))
    rest["word"] = offsets[1:] | np.uint64(ms.RAM_ZERO | ms.RAM_CONTINUE)
    return mainwriter.ram_zero(block, int(offsets[0])) + rest.tobytes()


def page_words(block: str, offsets: npt.NDArray[np.uint64], pages: memoryview) -> list[bytes]:
    """PAGE words, each with its page, for these offsets of a block."""
    first = mainwriter.ram_page_header(block, int(offsets[0])) + pages[:PAGE_SIZE]
    rest = np.empty((len(offsets) - 1, WORD + PAGE_SIZE), np.uint8)
    words_of = (offsets[1:] | np.uint64(ms.RAM_PAGE | ms.RAM_CONTINUE)).astype(">u8")
    rest[:, :WORD] = words_of.view(np.uint8).reshape(-1, WORD)
    rest[:, WORD:] = np.asarray(pages[PAGE_SIZE:]).reshape(-1, PAGE_SIZE)
    return [first, rest.tobytes()]


class QemuRamSender(RamSender):
    """Sends RAM where the target's machine type wants it."""

    stream: QemuStream
    target: Target

    def _send(self, batch: RamBatch) -> int:
        if not self.target.multifd:
            return self.stream.pages(batch)
        if len(batch.zero) and not self.target.version.zero_pages_in_packets:
            self.stream.zero_pages(batch.block.id, batch.zero_offsets)
            batch = replace(batch, zero=batch.zero[:0])
        return super()._send(batch) if len(batch.normal) or len(batch.zero) else 0
