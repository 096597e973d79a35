"""Watching a study: what is said after each run, and how long the rest takes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lab.studies import Scripted, channels_scan, rows_of, spec, study
from migemu.lab.runner import OneByOne
from migemu.lab.study_watch import Clock, duration, watching


def test_a_line_for_each_run_when_nobody_looks_at_a_terminal() -> None:
    out = io.StringIO()
    made = study(spec(channels_scan(1, 2), runs=2, warmup=1))
    with watching(Console(file=out), []) as watcher:
        made.run(Scripted(lambda s: -1 if s.migration.channels == 2 else 100), OneByOne(), watcher)
    lines = out.getvalue().splitlines()
    assert len(lines) == 6
    assert all(line.startswith(f"{number}/6  channels=") for number, line in enumerate(lines, 1))
    assert sum("downtime 100 ms" in line for line in lines) == 3
    assert sum("failed: destination: it broke" in line for line in lines) == 3
    assert sum(" left" in line for line in lines) == 5  # all but the last


def test_runs_that_are_left_out_are_said_to_be() -> None:
    out = io.StringIO()
    made = study(spec(channels_scan(2), runs=5, warmup=0))
    with watching(Console(file=out), []) as watcher:
        made.run(Scripted(lambda _: -1), OneByOne(), watcher)
    assert out.getvalue().count("left out: every run of it has failed") == 2


def test_a_terminal_gets_one_line_that_moves_and_is_gone_in_the_end() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=110)
    made = study(spec(channels_scan(1), runs=2, warmup=0))
    with watching(console, []) as watcher:
        made.run(Scripted(lambda _: 100), OneByOne(), watcher)
    assert "2/2" in out.getvalue()
    assert "downtime 100 ms" in out.getvalue()


def test_the_time_left_is_that_of_the_points_that_are_left() -> None:
    rows = rows_of(spec(channels_scan(1, 2), runs=1, warmup=0), lambda _: 100)
    slow = [row.model_copy(update={"seconds": 10.0 if row.point == "channels=2" else 2.0}) for row in rows]
    clock = Clock(slow)
    tasks = study(spec(channels_scan(1, 2, 4), runs=2, warmup=0)).tasks()
    clock.order(tasks)
    assert clock.left() == pytest.approx(2 * 2 + 2 * 10 + 2 * 6)  # of the third only the mean is known
    clock.ended("channels=2", 20.0)
    assert clock.left() == pytest.approx(2 * 2 + 15 + 2 * 8.5)
    assert Clock([]).left() is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "some time"), (0.2, "1 s"), (99, "99 s"), (240, "4 min"), (7500, "2 h 05 min")],
)
def test_durations_are_said_as_people_do(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said
