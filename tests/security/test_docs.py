"""The page about reliability tells what is tested: no row, limit or fault is missing there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faults.cells import every_cell
from faults.phases import PHASES
from faults.strikes import FAULTS
from migemu.scenario import Limits, Timeouts
from security.rows import ROWS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")


def mentioned() -> set[str]:
    """The identifiers in the first column of the table, ranges spelled out."""
    found: set[str] = set()
    for line in PAGE.splitlines():
        if not re.match(r"\| [A-L]\d", line):
            continue
        cell = line.split("|")[1]
        for letter, first, last in re.findall(r"([A-L])(\d+) to [A-L](\d+)", cell):
            found |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
        found |= set(re.findall(r"[A-L]\d+[b-d]?", cell))
    return found


@pytest.mark.parametrize("name", [name for name, _, _ in ROWS])
def test_a_row_that_is_played_stands_on_the_page(name: str) -> None:
    found = re.match(r"([A-L]\d+)([b-d]?) ", name)
    assert found is not None
    row, variant = found.groups()
    assert {row, row + variant} & mentioned(), "a variant may stand on the line of its row"


def test_the_fault_matrix_on_the_page_is_full_and_green() -> None:
    wanted = {(fault.name, phase): {"ok"} for phase, fault in every_cell()}
    for phase, fault in every_cell():
        if phase in fault.may_complete:
            wanted[fault.name, phase] = {"ok", "kept"} if fault.by_phase else {"kept"}
    found = {
        (fault.name, phase): cell.strip()
        for fault in FAULTS
        for line in PAGE.splitlines()
        if line.startswith(f"| {fault.name} |")
        for phase, cell in zip(PHASES, line.split("|")[2:-1], strict=True)
        if cell.strip() != "-"
    }
    assert found.keys() == wanted.keys()
    assert {cell: word for cell, word in found.items() if word not in wanted[cell]} == {}


def test_every_limit_and_fault_stands_there() -> None:
    names = [*Limits.model_fields, *Timeouts.model_fields]
    assert [name for name in names if name != "on_cap" and name not in PAGE] == []
    assert [fault.name for fault in FAULTS if fault.name not in PAGE] == []
