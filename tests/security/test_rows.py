"""Every row of the hostile-order table ends well, or in a named error on both sides, within the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from security.incoming import Incoming
from security.rows import ROWS
from security.scripted import Scripted

if TYPE_CHECKING:
    from security.rows import Row

SHORT = "timeouts.connect=1 s"

NO_WAY_BACK = ("D1", "D7", "D8", "I4", "L5", "L6")
"""Rows in which the source has no return path left (or never opened one) to be told on."""


@pytest.mark.parametrize("row", ROWS, ids=[name.split()[0].rstrip(",") for name, _, _ in ROWS])
def test_a_row_of_the_table(row: Row) -> None:
    name, script, outcome = row
    with Incoming(SHORT) as destination, Scripted(destination.address) as source:
        try:
            script(source)
        except (ConnectionError, TimeoutError):
            assert outcome != "ok", "the destination went away"
        told = source.told() if outcome != "ok" else ""
        source.close()
        verdict = destination.verdict(source)
        assert (verdict == "ok") if outcome == "ok" else (outcome in verdict), f"{name}: {verdict}"
        if outcome != "ok" and not name.startswith(NO_WAY_BACK):
            assert told == verdict, "both sides name the same cause"
