"""A study: what is run, in which order, what is kept of it, and how it goes on after an interrupt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lab.studies import BASE, Scripted, Watched, channels_scan, spec, study
from migemu.errors import CancelledMigrationError, UsageError
from migemu.lab.runner import Job, OneByOne
from migemu.lab.study import HOPELESS
from migemu.lab.study_kept import CANDIDATES, RUNS, TYPICAL, WHILE_RUNNING, Folder, read_rows, slug
from migemu.observe import result

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.scenario import Scenario

THREE = channels_scan(1, 2, 4)


def flat(_: Scenario) -> float:
    return 100.0


def test_every_round_runs_every_point_once_in_an_order_of_its_own() -> None:
    tasks = study(spec(THREE, runs=20)).tasks()
    counted = [task for task in tasks if task.run >= 0]
    rounds = [counted[at : at + 3] for at in range(0, len(counted), 3)]
    assert [{task.run for task in tasks} for tasks in rounds] == [{number} for number in range(20)]
    assert all(len({task.point.name for task in tasks}) == 3 for tasks in rounds)
    assert len({tuple(task.point.name for task in tasks) for tasks in rounds}) > 3


def test_the_order_follows_from_the_seed_alone() -> None:
    def order(seed: int) -> list[tuple[str, int]]:
        return [(task.point.name, task.run) for task in study(spec(THREE, runs=9, seed=seed)).tasks()]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_warm_ups_come_first_and_are_not_counted() -> None:
    made, watched = study(spec(THREE, runs=2, warmup=2)), Watched()
    made.run(Scripted(flat), OneByOne(), watched)
    assert [row.run for row in watched.rows[:6]] == [-1] * 6
    assert sorted(row.run for row in made.kept.rows) == [0, 0, 0, 1, 1, 1]


def test_a_point_that_only_fails_is_given_up_and_the_others_are_not() -> None:
    made, watched = study(spec(THREE, runs=8, warmup=0)), Watched()
    made.run(Scripted(lambda s: -1 if s.migration.channels == 2 else 100), OneByOne(), watched)
    counts = {name: sum(row.point == name for row in made.kept.rows) for name in ("channels=1", "channels=2")}
    assert counts == {"channels=1": 8, "channels=2": HOPELESS}
    assert watched.skipped == ["channels=2"] * (8 - HOPELESS)


def test_a_point_that_completed_once_is_never_given_up() -> None:
    turns = iter([100.0, -1, -1, -1, -1, -1])
    made = study(spec(channels_scan(1), runs=6, warmup=0))
    made.run(Scripted(lambda _: next(turns)), OneByOne(), Watched())
    assert len(made.kept.rows) == 6


def test_an_interrupted_study_goes_on_where_it_was_and_runs_nothing_twice(tmp_path: Path) -> None:
    asked = spec(THREE, runs=3, warmup=0)
    with pytest.raises(CancelledMigrationError):
        study(asked, Folder(tmp_path, asked)).run(Scripted(flat, stop_after=4), OneByOne(), Watched())
    rest = study(asked, Folder(tmp_path, asked))
    order = [(task.point.name, task.run) for task in study(asked).tasks()]
    assert [(task.point.name, task.run) for task in rest.tasks()] == order[4:]
    rest.run(Scripted(flat), OneByOne(), Watched())
    assert sorted((row.point, row.run) for row in read_rows(tmp_path)) == sorted(order)


def test_only_points_that_still_have_runs_are_warmed_up(tmp_path: Path) -> None:
    asked = spec(THREE, runs=1)
    folder = Folder(tmp_path, asked)
    with pytest.raises(CancelledMigrationError):
        study(asked, folder).run(Scripted(flat, stop_after=5), OneByOne(), Watched())
    tasks = study(asked, Folder(tmp_path, asked)).tasks()
    assert [task.run for task in tasks] == [-1, 0]
    assert tasks[0].point.name == tasks[1].point.name


def test_a_run_that_a_kill_tore_off_the_file_is_run_again(tmp_path: Path) -> None:
    asked = spec(THREE, runs=1, warmup=0)
    study(asked, Folder(tmp_path, asked)).run(Scripted(flat), OneByOne(), Watched())
    whole = (tmp_path / RUNS).read_bytes()
    (tmp_path / RUNS).write_bytes(whole[:-40])
    again = Folder(tmp_path, asked)
    assert len(study(asked, again).tasks()) == 1
    assert (tmp_path / RUNS).read_bytes().endswith(b"\n")


def test_a_spoiled_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    asked = spec(THREE, runs=1, warmup=0)
    study(asked, Folder(tmp_path, asked)).run(Scripted(flat), OneByOne(), Watched())
    lines = (tmp_path / RUNS).read_text().splitlines()
    (tmp_path / RUNS).write_text("\n".join([lines[0], '{"point": 1}', lines[2]]) + "\n")
    with pytest.raises(UsageError, match="line 2"):
        read_rows(tmp_path)


def test_a_folder_takes_more_runs_of_its_study_but_no_other_study(tmp_path: Path) -> None:
    asked = spec(THREE, runs=1, warmup=0)
    study(asked, Folder(tmp_path, asked)).run(Scripted(flat), OneByOne(), Watched())
    more = spec(THREE, runs=2, warmup=0)
    assert len(study(more, Folder(tmp_path, more)).tasks()) == 3
    with pytest.raises(UsageError, match="they differ in: scans, seed"):
        Folder(tmp_path, spec(channels_scan(1, 2), runs=1, warmup=0, seed=5))


def test_the_typical_run_is_the_one_nearest_to_the_median(tmp_path: Path) -> None:
    turns = iter([500.0, 90.0, 310.0, 100.0, 300.0, 95.0, 105.0])
    asked = spec(channels_scan(1), runs=7, warmup=0)
    folder = Folder(tmp_path, asked)
    study(asked, folder).run(Scripted(lambda _: next(turns)), OneByOne(), Watched())
    assert len(list((tmp_path / WHILE_RUNNING / "channels=1").iterdir())) == CANDIDATES
    folder.settle()
    kept = result.load(tmp_path / TYPICAL / "channels=1" / "result.json")
    assert kept.times.downtime == pytest.approx(0.105)
    assert not (tmp_path / WHILE_RUNNING).exists()


def test_of_a_point_that_only_failed_the_last_run_is_kept(tmp_path: Path) -> None:
    asked = spec(channels_scan(1), runs=2, warmup=0)
    folder = Folder(tmp_path, asked)
    study(asked, folder).run(Scripted(lambda _: -1), OneByOne(), Watched())
    folder.settle()
    assert result.load(tmp_path / TYPICAL / "channels=1" / "result.json").verdict == "failed"


def test_a_point_is_a_folder_whatever_its_values_are() -> None:
    assert slug("devices=4, handoff=load-ready") == "devices=4+handoff=load-ready"
    assert slug("device.*.config_load_time=70 ms") == "device.-.config_load_time=70-ms"
    long = [slug(f"name={'x' * 300}{end}") for end in "ab"]
    assert len(set(long)) == 2
    assert max(map(len, long)) < 255


def test_a_row_keeps_the_whole_result_and_its_figures(tmp_path: Path) -> None:
    asked = spec(channels_scan(3), runs=1, warmup=0)
    study(asked, Folder(tmp_path, asked)).run(Scripted(flat), OneByOne(), Watched())
    row = json.loads((tmp_path / RUNS).read_text())
    assert row["settings"] == {"channels": "3"}
    assert row["figures"]["downtime"] == pytest.approx(0.1)
    assert row["result"]["schema"] == "migemu.result/1"
    assert row["result"]["scenario"]["effective"]["migration"]["channels"] == 3


def test_a_runner_is_asked_for_the_next_run_only_when_the_last_one_is_kept() -> None:
    runner, asked = Scripted(flat), [BASE, BASE, BASE]
    for number, (item, finished) in enumerate(OneByOne().each(asked, lambda s: Job(runner, s)), 1):
        assert len(runner.seen) == number
        assert item is BASE
        assert finished.seconds >= 0
