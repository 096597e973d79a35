"""The body of a VFIO device's section: marks and what follows them, by :data:`migemu.wire.vfio.WORDS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.errors import WireError
from migemu.wire.records import Section, VfioConfig, VfioData, VfioDataCount, VfioWord
from migemu.wire.vfio import END_OF_STATE, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.wire.intake import Intake
    from migemu.wire.limits import WireLimits
    from migemu.wire.records import Record

_END: Final = END_OF_STATE.to_bytes(8)
INSIDE: Final = "a VFIO section"


class VfioSection:
    """Reads the bodies of one stream's VFIO sections."""

    def __init__(self, intake: Intake, out: list[Record], limits: WireLimits) -> None:
        self._intake = intake
        self._out = out
        self._limits = limits

    def body(self, section: Section, footer: bytes) -> Iterator[str]:
        """One body, up to a mark that ends it; `footer` is what will follow it, empty without footers.

        Raises:
            WireError: an unknown mark.
            LimitError: data or a config state above its limit.
        """
        intake = self._intake
        while True:
            while intake.waiting() < 8:
                yield INSIDE
            mark = intake.take_int(8)
            word = WORDS.get(mark)
            if word is None:
                raise WireError(f"unknown VFIO mark {mark:#018x}", device=section.idstr)
            if word.follows == "data":
                yield from self._data(section)
            elif word.follows == "pci-config":
                yield from self._pci_config(section, footer)
            elif word.follows == "sized-config":
                yield from self._sized_config(section)
            elif word.follows == "count":
                yield from self._count(section)
            else:
                self._out.append(VfioWord(section, mark))
                if word.follows == "end":
                    return

    def _data(self, section: Section) -> Iterator[str]:
        while self._intake.waiting() < 8:
            yield INSIDE
        size = self._limits.check("max_payload", self._intake.take_int(8), f"{section.idstr}: data block")
        while (data := self._intake.payload(size)) is None:
            yield "a VFIO data block"
        self._out.append(VfioData(section, data))

    def _sized_config(self, section: Section) -> Iterator[str]:
        while self._intake.waiting() < 4:
            yield INSIDE
        size = self._limits.check("max_payload", self._intake.take_int(4), f"{section.idstr}: config state")
        while (data := self._intake.payload(size)) is None:
            yield "a VFIO config state"
        self._out.append(VfioConfig(section, bytes(data.view), sized=True))
        data.release()

    def _count(self, section: Section) -> Iterator[str]:
        while self._intake.waiting() < 8:
            yield INSIDE
        self._out.append(VfioDataCount(section, self._intake.take_int(8)))

    def _pci_config(self, section: Section, footer: bytes) -> Iterator[str]:
        """QEMU's config state, whose length follows from a PCI function we do not have.

        It ends where END_OF_STATE is followed by this section's footer: 13 bytes that no configuration
        space repeats by chance. END_OF_STATE itself is left to be read as the mark it is.
        """
        end = _END + footer
        intake = self._intake
        searched = 0
        while (found := bytes(intake.view[intake.start + searched : intake.end]).find(end)) < 0:
            searched = max(intake.waiting() - len(end) + 1, 0)
            self._check_config(section, searched)
            yield "a PCI config state"
        self._check_config(section, searched + found)
        self._out.append(VfioConfig(section, intake.take(searched + found)))

    def _check_config(self, section: Section, size: int) -> None:
        self._limits.check("max_pci_config", size, f"{section.idstr}: PCI config state")
