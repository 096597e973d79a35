"""How often a row came to what, told to people, to programs and as the table of a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.qemu.hostile.table import Row
    from migemu.qemu.hostile.verdict import Verdict

NOTHING = "-"
"""Of a row that is about something this QEMU does not have."""


@dataclass(frozen=True, slots=True)
class Played:
    """A row and what one QEMU did, each time."""

    row: Row
    version: str
    verdicts: tuple[Verdict, ...]

    def told(self) -> list[str]:
        """For people: what it did, and how often which."""
        return counted(one.line() for one in self.verdicts)

    def line(self) -> str:
        """The same with the row and the QEMU."""
        told = "; or ".join(self.told()) or NOTHING
        title = f"   [{self.row.title}]" if self.row.title else ""
        return f"{self.row.name:<5} {self.version:<8} {told}{title}"

    def cell(self) -> str:
        """For the page: without what is different every time."""
        return "; or ".join(counted(one.cell() for one in self.verdicts)).replace("|", "\\|") or NOTHING

    def plain(self) -> dict[str, Any]:
        """For programs."""
        verdicts = [one.plain() for one in self.verdicts]
        return {
            "schema": 1,
            "row": self.row.name,
            "title": self.row.title,
            "qemu": self.version,
            "verdicts": verdicts,
        }


def counted(texts: Iterable[str]) -> list[str]:
    """Each text once, the most frequent first; with how often, when there are several."""
    counts = Counter(texts).most_common()
    return [
        text if len(counts) == 1 else f"{text} ({times} of {sum(n for _, n in counts)})"
        for text, times in counts
    ]


def markdown(played: Sequence[Played]) -> str:
    """A table with a column a QEMU; rows that follow each other and came to the same share a line."""
    versions = list(dict.fromkeys(one.version for one in played))
    cells = {(one.row.name, one.version): one.cell() for one in played}
    rows = {one.row.name: one.row for one in played}.values()
    lines = [f"| row | {' | '.join(versions)} |", f"| --- |{' --- |' * len(versions)}"]
    for came_to, alike in groupby(
        rows, lambda one: (one.name[0], [cells.get((one.name, v), NOTHING) for v in versions])
    ):
        titles = "; ".join(f"**{one.name}** {one.title}" for one in alike)
        lines.append(f"| {titles} | {' | '.join(_said(came_to[1]))} |")
    return "\n".join(lines)


def _said(cells: list[str]) -> list[str]:
    """The cells of a line; one that says what its left neighbour says: same."""
    return ["same" if n and cell == cells[n - 1] != NOTHING else cell for n, cell in enumerate(cells)]
