"""A sweep: where the knee is, whether it is worse than an earlier one, and the page that shows it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from lab.studies import BASE, Scripted, Watched, channels_scan, noisy, rows_of, spec, study
from migemu.errors import UsageError
from migemu.lab import study_output, sweep
from migemu.lab.runner import OneByOne
from migemu.lab.study_kept import Folder
from migemu.lab.study_scan import Scan
from migemu.lab.sweep_baseline import check_alike, judge, read
from migemu.lab.sweep_table import judgement_lines, print_table
from migemu.scenario import dump_toml, with_overrides

if TYPE_CHECKING:
    from pathlib import Path

    from lab.studies import DowntimeOf
    from migemu.lab.sweep import Knee, Sweep
    from migemu.lab.sweep_baseline import Baseline
    from migemu.scenario import Scenario

CHANNELS = channels_scan(1, 2, 4, 8)
CURVE = {1: 400.0, 2: 220.0, 4: 152.0, 8: 150.0}


def curve(scenario: Scenario) -> float:
    return CURVE[scenario.migration.channels]


def swept(downtime: DowntimeOf, *scans: Scan, runs: int = 8) -> Sweep:
    asked = spec(*(scans or (CHANNELS,)), runs=runs, warmup=0)
    return sweep.summarise(asked, rows_of(asked, downtime))


def downtime_knee(made: Sweep, line: str = "") -> Knee:
    return next(knee for knee in made.knees if (knee.figure, knee.line) == ("downtime", line))


def test_the_knee_is_the_smallest_count_within_the_interval_of_the_best() -> None:
    knee = downtime_knee(swept(noisy(curve, -5, 0, 3, 5, -3)))
    assert (knee.best, knee.knee) == ("8", "4")
    assert knee.text() == "downtime: knee at channels=4, within the interval of the best, 8"


def test_runs_that_do_not_vary_leave_no_room_for_a_smaller_count() -> None:
    assert downtime_knee(swept(curve)).text() == "downtime: knee at channels=8, which is the best"


def test_counts_that_are_alike_need_only_the_smallest() -> None:
    assert downtime_knee(swept(lambda _: 100)).knee == "1"


def test_each_line_has_its_own_knee() -> None:
    def by_devices(scenario: Scenario) -> float:
        return curve(scenario) if len(scenario.device) == 1 else 300.0

    made = swept(by_devices, CHANNELS, Scan("devices", ("1", "2")))
    assert downtime_knee(made, "devices=1").knee == "8"
    assert downtime_knee(made, "devices=2").knee == "1"


def test_more_throughput_is_better() -> None:
    knees = {knee.figure: knee for knee in swept(curve).knees}
    assert knees["device_rate"].knee == "1"  # the story's devices take their data alike everywhere
    assert knees["device_rate"].best_median > 0


def test_a_point_that_failed_cannot_be_the_best() -> None:
    made = swept(lambda s: -1 if s.migration.channels == 8 else curve(s))
    assert downtime_knee(made).best == "4"
    assert made.failed()


def test_without_numbers_there_is_no_knee() -> None:
    assert swept(lambda _: 100, Scan("digest", ("xxh3_128", "sha256"))).knees == ()


def held(new: Sweep, old: Sweep, path: Path, tolerance: float = 0.05) -> Baseline:
    return judge(new, old, path, tolerance)


def test_a_sweep_is_no_worse_than_itself(tmp_path: Path) -> None:
    made = swept(noisy(curve, -5, 0, 5))
    verdicts = {one.verdict for one in held(made, made, tmp_path).judgements}
    assert verdicts == {"same"}


def test_a_regression_beyond_noise_and_tolerance_is_named(tmp_path: Path) -> None:
    def slower(scenario: Scenario) -> float:
        return curve(scenario) * (1.3 if scenario.migration.channels == 4 else 1)

    found = held(swept(noisy(slower, -3, 0, 3)), swept(noisy(curve, -3, 0, 3)), tmp_path)
    assert [(one.point, one.figure) for one in found.worse()] == [("channels=4", "downtime")]
    lines = judgement_lines(found)
    assert lines[0].startswith("worse: downtime at channels=4, new / old 1.30")
    assert lines[-1].startswith("rule: a point is worse when even the better end")


def test_what_the_runs_spread_by_is_no_regression(tmp_path: Path) -> None:
    wide = (-60.0, 0.0, 90.0, 40.0)
    new = swept(noisy(lambda s: curve(s) * 1.1, *wide), runs=4)
    assert held(new, swept(noisy(curve, *wide), runs=4), tmp_path).worse() == []


def test_the_tolerance_is_granted_on_top(tmp_path: Path) -> None:
    new, old = swept(lambda s: curve(s) * 1.1), swept(curve)
    assert len(held(new, old, tmp_path).worse()) == 4
    assert held(new, old, tmp_path, tolerance=0.12).worse() == []


def test_an_improvement_is_told_and_is_none_of_the_worse(tmp_path: Path) -> None:
    found = held(swept(lambda s: curve(s) * 0.8), swept(curve), tmp_path)
    assert found.worse() == []
    assert sum(one.verdict == "better" for one in found.judgements) == 4


def test_a_point_that_fails_now_is_worse(tmp_path: Path) -> None:
    new = swept(lambda s: -1 if s.migration.channels == 8 else curve(s))
    found = held(new, swept(curve), tmp_path)
    assert {one.point for one in found.worse()} == {"channels=8"}
    assert "it failed" in judgement_lines(found)[0]


def test_two_runs_are_too_few_to_judge(tmp_path: Path) -> None:
    found = held(swept(lambda s: curve(s) * 2, runs=2), swept(curve, runs=2), tmp_path)
    assert {one.verdict for one in found.judgements} == {"not judged"}


def test_points_of_only_one_sweep_are_named(tmp_path: Path) -> None:
    found = held(
        swept(lambda _: 100, channels_scan(1, 2)), swept(lambda _: 100, channels_scan(2, 4)), tmp_path
    )
    assert found.unmatched == ("channels=1", "channels=4")


def test_a_baseline_of_another_workload_is_refused_and_a_new_key_is_none() -> None:
    old = swept(curve, runs=1)
    check_alike(old, dump_toml(with_overrides(BASE, ["name=other"])))
    check_alike(old, dump_toml(BASE) + "\n[[of_a_newer_version]]\nx = 1\n")
    with pytest.raises(UsageError, match=r"differ in: device.1.state_size"):
        check_alike(old, dump_toml(with_overrides(BASE, ["device.1.state_size=4 MiB"])))


def test_a_baseline_that_is_none_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the baseline"):
        read(tmp_path / "gone.json")
    (tmp_path / "sweep.json").write_text('{"schema": "migemu.sweep/9"}')
    with pytest.raises(UsageError, match="is not a sweep of this version"):
        read(tmp_path)


def test_the_table_has_a_row_for_each_point_with_those_of_a_curve_together() -> None:
    made = swept(curve, CHANNELS, Scan("devices", ("1", "2")), runs=2)
    out = io.StringIO()
    print_table(made, Console(file=out, width=60))
    lines = out.getvalue().splitlines()
    assert lines[0].split()[:3] == ["channels", "devices", "downtime"]
    assert [line.split()[:2] for line in lines[1:9]] == [
        [channels, devices] for devices in "12" for channels in ("1", "2", "4", "8")
    ]
    assert lines[1].split()[2] == "400.0"
    assert any(line.startswith("downtime (devices=1): knee at channels=8") for line in lines)


def test_the_page_is_whole_fetches_nothing_and_its_charts_are_files(tmp_path: Path) -> None:
    asked = spec(CHANNELS, runs=2, warmup=0)
    folder = Folder(tmp_path, asked)
    study(asked, folder).run(Scripted(curve), OneByOne(), Watched())
    folder.settle()
    made = study_output.publish(tmp_path)
    assert isinstance(made, sweep.Sweep)
    study_output.keep_baseline(tmp_path, judge(made, made, tmp_path / "sweep.json", 0.05))
    study_output.publish(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!#)|url\((?!#)|<script|@import", page)
    for title in ("Knees", "Against the baseline", "Device state", "Queue", "Channels&#x27; shares"):
        assert title in page
    names = {path.stem for path in (tmp_path / "charts").glob("*.svg")}
    assert {"downtime", "state", "ram", "path", "parts", "queue", "shares"} <= names


def test_a_page_made_anew_is_the_same(tmp_path: Path) -> None:
    asked = spec(CHANNELS, runs=2, warmup=0)
    study(asked, Folder(tmp_path, asked)).run(Scripted(curve), OneByOne(), Watched())
    study_output.publish(tmp_path)
    first = (tmp_path / "sweep.json").read_bytes()
    study_output.publish(tmp_path)
    assert (tmp_path / "sweep.json").read_bytes() == first


def test_nothing_finished_is_nothing_to_report(tmp_path: Path) -> None:
    Folder(tmp_path, spec(CHANNELS))
    with pytest.raises(UsageError, match="no run of the study is finished"):
        study_output.publish(tmp_path)
