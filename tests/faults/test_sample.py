"""A sample of the fault matrix; `make faults` plays all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults.cells import cells, played
from faults.strikes import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = [
    ("kill source", "hello"),
    ("kill destination", "after EOF"),
    ("stop source", "device data"),
    ("reset multifd", "precopy round"),
    ("half-close main", "config"),
    ("Ctrl-C source", "switchover"),
    ("migemu cancel", "device data"),
    ("device write error", "device data"),
    ("device partial writes", "device data"),
    ("memory cap met", "device data"),
]


@pytest.mark.parametrize(("fault", "phase"), SAMPLE)
def test_a_cell_of_the_matrix(tmp_path: Path, fault: str, phase: str) -> None:
    chosen = next(one for one in FAULTS if one.name == fault)
    assert played(tmp_path, phase, chosen).problems == []


def test_every_fault_that_can_strike_anywhere_has_a_cell_in_every_phase() -> None:
    names = [(fault.name, phase) for phase, fault in cells()]
    assert len(set(names)) == len(names)
    assert set(SAMPLE) <= set(names)
