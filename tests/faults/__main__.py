"""`make faults`: every cell of the fault matrix, as a table.

Words choose rows by a part of their names; exit code 1 when a cell is red.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from faults.cells import FAULTS, PHASES, Cell, cells

GREEN, LATE, RED = "ok", "late", "RED"


def main(words: list[str]) -> int:
    """Run the rows that `words` choose; how many cells are red."""
    rows = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    width = max(len(fault.name) for fault in rows)
    print(" " * width, *(phase.rjust(13) for phase in PHASES))
    red: list[str] = []
    for fault in rows:
        print(fault.name.ljust(width), end="", flush=True)
        for phase in PHASES:
            print((" " + play(phase, fault, red)).rjust(14), end="", flush=True)
        print()
    print(*red, sep="\n")
    print(f"{len(red)} red; ok: ended, one VM can run, the cause named, nothing left, a retry succeeded;")
    print("late: the same, and the migration had completed before the fault could hurt")
    return min(1, len(red))


def play(phase: str, fault: object, red: list[str]) -> str:
    """One cell."""
    found = next(((p, f) for p, f in cells() if p == phase and f is fault), None)
    if found is None:
        return "-"
    with tempfile.TemporaryDirectory(prefix="migemu-faults-") as folder:
        cell = Cell(Path(folder), *found)
        problems = cell.run()
    if problems:
        red.append(f"{found[1].name}, {phase}: {'; '.join(problems)}")
        return RED
    return LATE if cell.completed and not found[1].survives else GREEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
