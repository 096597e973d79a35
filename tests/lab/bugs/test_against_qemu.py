"""Every bug of the catalogue is either a row that a QEMU can be played, or says why it cannot be told."""

from __future__ import annotations

import pytest

from migemu.cli.bugs_qemu import shown
from migemu.errors import UsageError
from migemu.lab import bugs
from migemu.lab.bugs.against_qemu import TABLE, Against, against, told
from migemu.qemu import hostile
from migemu.qemu.hostile.report import Played
from migemu.qemu.hostile.verdict import Kind, Verdict

MUST = "C5 C7 E6 K6 K19 K20 B3 B29 B30 D1 D2 D3 D5"


def test_what_can_be_told_from_outside_is() -> None:
    assert [name for name in MUST.split() if not isinstance(TABLE[name], Against)] == []


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_names_a_bug_and_rows_that_exist(name: str) -> None:
    assert name in bugs.names()
    entry = TABLE[name]
    rows = entry.rows if isinstance(entry, Against) else ()
    assert set(rows) <= set(hostile.ROWS)
    assert rows or not isinstance(entry, Against)


def test_what_cannot_be_told_says_why_and_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"B6 cannot be told .*: a spurious wake-up") as refusal:
        against("B6")
    assert refusal.value.exit_code == 2


def test_a_bug_shows_only_in_the_ends_that_are_it() -> None:
    row = hostile.ROWS["A1"]
    waits = [Played(row, "7.2", (Verdict(Kind.OK), Verdict(Kind.WAITS)))]
    assert shown(against("B13"), waits)
    assert not shown(against("C5"), waits)
    assert shown(against("C5"), []) is None
    grown = [Played(row, "10.0", (Verdict(Kind.OK, grown=1 << 28),))]
    assert shown(against("B30"), grown)
    assert not shown(against("B31"), grown)


def test_a_bug_tells_how_it_is_looked_for_in_a_qemu() -> None:
    assert told("D5") == "migemu bugs reproduce D5 --qemu PATH: rows L11"
    assert told("B7").startswith("cannot be told from outside: the API")
    assert told("B99") == "not tried"
