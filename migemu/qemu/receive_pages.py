"""RAM pages on the main channel, many at a time: how they come when multifd is off.

A record a page, each handed from the loop to the incoming thread by itself, cost more than ten times what the
page's copy does. What lands together is handed over together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migemu.destination.mainchannel import MainProtocol
from migemu.wire.records import RamPage, RamZero

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from migemu.ram import RamLoad
    from migemu.wire.records import Record


@dataclass(frozen=True, slots=True)
class PageRun:
    """Pages in the order in which they came."""

    pages: list[RamPage | RamZero]

    def load(self, load: RamLoad) -> None:
        """Put each where it belongs.

        Raises:
            WireError: one belongs nowhere.
        """
        for page in self.pages:
            if isinstance(page, RamPage):
                load.page(page.block, page.offset, page.data.view)
                page.data.release()
            else:
                load.zero_page(page.block, page.offset)


def in_runs(records: Iterable[Record]) -> Iterator[Record | PageRun]:
    """The same records, pages that follow each other as one."""
    run: list[RamPage | RamZero] = []
    for record in records:
        if isinstance(record, RamPage | RamZero):
            run.append(record)
            continue
        if run:
            yield PageRun(run)
            run = []
        yield record
    if run:
        yield PageRun(run)


class PagesProtocol(MainProtocol):
    """Reads a main channel whose opening has been read."""

    def begin(self, opening: list[Record]) -> None:
        """Hand over what came already."""
        self._put(opening)

    def _put(self, records: list[Any]) -> bool:
        runs: list[Any] = list(in_runs(records))
        return super()._put(runs)
