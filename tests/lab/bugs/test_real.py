"""The catalogue on real sockets: two processes are driven into a bug, and the correct destination is not."""

from __future__ import annotations

import pytest

from migemu.cli.bugs_real import driven
from migemu.cli.driven import run_once
from migemu.lab import bugs

ASKED_FOR = ["B1", "B2", "B3", "B10", "B13", "B18", "B29", "B30", "B31", "mark-without-data"]


def test_the_bugs_that_were_asked_for_can_be_driven() -> None:
    assert set(ASKED_FOR) <= {bug.name for bug in bugs.catalogue() if bug.real is not None}


@pytest.mark.parametrize("name", ASKED_FOR)
def test_two_processes_show_it_and_the_correct_variant_does_not(name: str) -> None:
    bug = bugs.get(name)
    assert bug.real is not None
    broken = run_once(driven(bug, bug.real, "broken"))
    assert broken.symptom, (broken.ended, broken.rules)
    correct = run_once(driven(bug, bug.real, "correct"))
    assert correct.symptom is None
