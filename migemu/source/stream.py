"""The main stream as the source writes it: section ids, section bodies, the marks between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.handoff.design import Carrier
from migemu.wire import extension, mainwriter
from migemu.wire import mainstream as ms
from migemu.wire import vfio as words
from migemu.wire.records import RamBlock

if TYPE_CHECKING:
    from migemu.handoff.design import Design
    from migemu.ram import GuestRam
    from migemu.source.mainwriter import MainWriter
    from migemu.vfio.save import SaveDevice

RAM_SECTION = 2
"""QEMU numbers sections in the order of their registration; `ram` comes early."""
FIRST_DEVICE_SECTION = 16


class Stream:
    """Writes records; decides nothing.

    Attributes:
        gave_up: the destination was told why nothing more comes.
    """

    def __init__(self, main: MainWriter, machine: str, uuid: bytes | None = None) -> None:
        self._main = main
        self._machine = machine
        self._uuid = uuid
        self._begun = False
        self._inside: int | None = None
        self.gave_up = False

    def begin(self) -> None:
        """File header and CONFIGURATION."""
        self._main.write(mainwriter.file_header() + mainwriter.configuration(self._machine, uuid=self._uuid))
        self._begun = True

    def give_up(self, why: str) -> None:
        """Say `why` nothing more comes, without waiting; to a destination that is migemu."""
        if not self._begun:
            return
        ended = b""
        if self._inside is not None:
            ended = mainwriter.vfio_word(words.END_OF_STATE) + mainwriter.footer(self._inside)
        reason = why.encode()[: extension.PART_BYTES]
        self._main.last_words(ended + mainwriter.command(extension.CMD_FAILED, reason))
        self.gave_up = True

    def command(self, number: int, data: bytes = b"") -> None:
        """A MIG_CMD, flushed: marks are acted on when they are met."""
        self.queue_command(number, data)
        self._main.flush()

    def queue_command(self, number: int, data: bytes = b"") -> None:
        """A MIG_CMD, on its way to the socket; where this raises, nothing of it is."""
        self._main.write(mainwriter.command(number, data))

    def ram_setup(self, ram: GuestRam) -> None:
        """SECTION_START of RAM with its block list, and its first barrier (the SYNCs are out already)."""
        blocks = [RamBlock(block.id, block.size) for block in ram.blocks if block.size]
        self._main.write(
            mainwriter.section_start(RAM_SECTION, "ram", 0, ms.RAM_SECTION_VERSION)
            + mainwriter.ram_blocks(blocks)
            + mainwriter.ram_flush()
            + mainwriter.ram_eos()
            + mainwriter.footer(RAM_SECTION)
        )

    def ram_barrier(self, *, last: bool) -> None:
        """SECTION_PART (or END) of RAM: its pages went over multifd, so it holds the barrier alone."""
        head = mainwriter.section_end(RAM_SECTION) if last else mainwriter.section_part(RAM_SECTION)
        self._main.write(
            head + mainwriter.ram_flush() + mainwriter.ram_eos() + mainwriter.footer(RAM_SECTION)
        )
        self._main.flush()

    def device_setup(self, number: int, device: SaveDevice) -> None:
        """SECTION_START of a VFIO device."""
        section = FIRST_DEVICE_SECTION + number
        body = mainwriter.vfio_word(words.DEV_SETUP_STATE) + mainwriter.vfio_word(words.END_OF_STATE)
        head = mainwriter.section_start(
            section, device.model.name, device.model.instance, ms.VFIO_SECTION_VERSION
        )
        self._main.write(head + body + mainwriter.footer(section))

    def device_part_begin(self, number: int) -> None:
        """SECTION_PART of a VFIO device: pre-copy data follows."""
        self._main.write(mainwriter.section_part(FIRST_DEVICE_SECTION + number))
        self._inside = FIRST_DEVICE_SECTION + number

    def device_end_begin(self, number: int) -> None:
        """SECTION_END of a VFIO device."""
        self._main.write(mainwriter.section_end(FIRST_DEVICE_SECTION + number))
        self._inside = FIRST_DEVICE_SECTION + number

    def device_data(self, view: memoryview) -> None:
        """A DATA block; the view is free when the call returns."""
        self._main.write(mainwriter.vfio_data_header(len(view)), view)
        self._main.flush()

    def device_section_end(self, number: int, word: int = words.END_OF_STATE) -> None:
        """The word that ends the body, and the footer."""
        self._main.write(mainwriter.vfio_word(word) + mainwriter.footer(FIRST_DEVICE_SECTION + number))
        self._inside = None

    def platform_section(self, number: int, idstr: str, state: bytes) -> None:
        """SECTION_FULL of a platform device, such as the interrupt controller."""
        section = FIRST_DEVICE_SECTION + number
        body = mainwriter.sized_body(state)
        self._main.write(mainwriter.section_full(section, idstr, 0, 1) + body + mainwriter.footer(section))

    def device_full(
        self, number: int, device: SaveDevice, design: Design, *, buffers: int, config: bytes | None
    ) -> None:
        """SECTION_FULL of a VFIO device: what the design puts there."""
        section = FIRST_DEVICE_SECTION + number
        head = mainwriter.section_full(
            section, device.model.name, device.model.instance, ms.VFIO_SECTION_VERSION
        )
        self._main.write(head + device_body(design, buffers, config) + mainwriter.footer(section))

    def finish(self, description: dict[str, Any]) -> None:
        """EOF and the stream's own description."""
        self._main.write(mainwriter.eof() + mainwriter.vmdesc(description))
        self._main.flush()


def device_body(design: Design, buffers: int, config: bytes | None) -> bytes:
    """The body of a device's non-iterable section.

    With the config on multifd it is one word; with the config here but the data on multifd it also says how
    many data buffers there are, because nothing on the main channel orders them (an extension).
    """
    if config is None:
        return mainwriter.vfio_word(
            words.CONFIG_LOAD_READY if design.config_load_ready else words.END_OF_STATE
        )
    count = mainwriter.vfio_data_count(buffers) if design.data is Carrier.MULTIFD else b""
    return count + mainwriter.vfio_sized_config(config) + mainwriter.vfio_word(words.END_OF_STATE)
