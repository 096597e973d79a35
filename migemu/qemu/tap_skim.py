"""A main channel read for what it says, not for the pages it carries.

With multifd off all of RAM goes by here, a word before every page. Runs of such words are stepped over at
once: nothing is copied, and what is left is how many there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from migemu.wire.mainreader import MainReader
from migemu.wire.mainstream import RAM_CONTINUE, RAM_PAGE
from migemu.wire.ramsection import RamSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.wire.buffers import Pool
    from migemu.wire.limits import WireLimits
    from migemu.wire.records import Section


@dataclass(frozen=True, slots=True)
class PagesPassed:
    """So many pages of the block that was named last."""

    section: Section
    count: int
    zero: bool


class SkimmedRam(RamSection):
    """Reads ``ram`` bodies; of pages that continue a block only how many they are."""

    def _page(self, section: Section, offset: int, kind: int, *, continued: bool) -> Iterator[str]:
        count = self._run(kind) if continued else 0
        if not count:
            yield from super()._page(section, offset, kind, continued=continued)
            return
        self._intake.start += count * self._unit(kind)
        passed: Any = PagesPassed(section, count, kind != RAM_PAGE)
        self._out.append(passed)

    def _unit(self, kind: int) -> int:
        return 8 + (self.page_size if kind == RAM_PAGE else 1)

    def _run(self, kind: int) -> int:
        """How many words of that kind follow each other, whole with what is behind them."""
        unit, intake = self._unit(kind), self._intake
        count = intake.waiting() // unit
        if not count:
            return 0
        rows = np.frombuffer(intake.view, np.uint8, count * unit, intake.start).reshape(count, unit)
        low = rows[:, 6].astype(np.uint16) << 8 | rows[:, 7]
        other = (low & (self.page_size - 1)) != kind | RAM_CONTINUE
        return int(other.argmax()) if other.any() else count


class SkimmingReader(MainReader):
    """Reads a main channel; see the module."""

    def __init__(self, pool: Pool, limits: WireLimits) -> None:
        super().__init__(pool, limits)
        self._ram = SkimmedRam(self._intake, self._out, limits, self._ram.page_size)
