"""`make faults`: every cell of the fault matrix, as a table.

Words choose rows by a part of their names; exit code 1 when a cell is red.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from faults.cells import Cell, cells, played
from faults.phases import PHASES
from faults.strikes import FAULTS

FAILED, KEPT, RED, NONE = "ok", "kept", "RED", "-"
LEGEND = """ok, kept: both sides ended, one VM can run, the cause was named, nothing left, a retry succeeded
ok: the migration failed; kept: it completed, for the VM had been handed over or nothing was missing"""


def main(words: list[str]) -> int:
    """Run the rows that `words` choose; 1 when a cell is red."""
    rows = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    width = max(len(fault.name) for fault in rows)
    began = time.monotonic()
    print(" " * width, *(phase.rjust(13) for phase in PHASES))
    red: list[str] = []
    for fault in rows:
        print(fault.name.ljust(width), end="", flush=True)
        for phase in PHASES:
            print((" " + outcome(phase, fault, red)).rjust(14), end="", flush=True)
        print()
    print(*red, sep="\n")
    print(f"{len(red)} red, {time.monotonic() - began:.0f} s\n{LEGEND}")
    return min(1, len(red))


def outcome(phase: str, fault: object, red: list[str]) -> str:
    """One cell, in one word."""
    found = next(((p, f) for p, f in cells() if p == phase and f is fault), None)
    if found is None:
        return NONE
    with tempfile.TemporaryDirectory(prefix="migemu-faults-") as folder:
        cell = played(Path(folder), *found)
    if cell.problems:
        red.append(f"{cell.fault.name}, {phase}: {'; '.join(cell.problems)}")
        print(f"\n{red[-1]}", file=sys.stderr, flush=True)
    return word(cell)


def word(cell: Cell) -> str:
    """What came of it."""
    if cell.problems:
        return RED
    return KEPT if cell.completed else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
