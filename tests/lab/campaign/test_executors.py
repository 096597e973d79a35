"""``--jobs N``: a virtual study side by side keeps what it would have kept one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.cli.compare import compare
from migemu.errors import UsageError
from migemu.lab.executors import SideBySide
from migemu.lab.runner import Job, OneByOne
from migemu.lab.study_scan import grid, parse_scans
from migemu.lab.virtual import virtual_runner
from migemu.scenario import loads

if TYPE_CHECKING:
    from migemu.lab.runner import Executor
    from migemu.lab.study_figures import Figures

TEXT = """
name = "tiny"
[ram]
size = "1 MiB"
[[device]]
state_size = "2 MiB"
"""
POINTS = grid(loads(TEXT, environ={}), parse_scans(["channels=1,2,4", "devices=1,2"]))


def told(executor: Executor) -> list[tuple[str, object, object]]:
    done = executor.each(POINTS, lambda point: Job(virtual_runner, point.scenario))
    return [(point.name, run.measured.result, list(run.measured.events)) for point, run in done]


def test_side_by_side_is_what_one_by_one_is_in_the_same_order() -> None:
    assert told(SideBySide(2)) == told(OneByOne())


def test_what_nobody_keeps_does_not_travel_and_changes_no_figure() -> None:
    def rows(executor: Executor) -> list[tuple[Figures, bool]]:
        done = executor.each(POINTS, lambda point: Job(virtual_runner, point.scenario))
        return [(run.figures, bool(run.measured.events)) for _, run in done]

    assert rows(SideBySide(2, events=False)) == [(figures, False) for figures, _ in rows(OneByOne())]


def test_real_runs_do_not_share_the_processors() -> None:
    with pytest.raises(UsageError, match="--jobs goes with --virtual"):
        compare.main(["--jobs", "2"], standalone_mode=False)
