"""A real QEMU's rows in a comparison: which there are, what is refused, what is said of the deviation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.studies import BASE, Scripted, Watched, noisy, spec, study
from migemu.errors import UsageError
from migemu.lab import compare, compare_report, study_output
from migemu.lab.compare_qemu import Real
from migemu.lab.runner import OneByOne
from migemu.lab.study_kept import Folder, slug
from migemu.lab.study_scan import parse_scans
from migemu.qemu.binary import Launcher
from migemu.scenario import with_overrides

if TYPE_CHECKING:
    from lab.studies import DowntimeOf
    from migemu.lab.compare import Comparison

ARM = with_overrides(BASE, ["platform.needs_interrupt_controller=true"])


def real(version: tuple[int, ...], downtime: DowntimeOf = lambda _: 200.0) -> Real:
    return Real(Launcher(Path("/opt/qemu"), version), Scripted(downtime))


OLD, NEW = real((10, 0, 13)), real((11, 1, 3))


def names(*reals: Real, designs: str | None = None) -> list[str]:
    grid = compare.grid(BASE, [], designs, fixed_platform=False, reals=reals)
    return [point.settings[-1][1] for point in grid.points]


def compared(
    ours: DowntimeOf, theirs: DowntimeOf, *scans: str, folder: Folder | None = None, runs: int = 5
) -> Comparison:
    made_by = [real((10, 0, 13), theirs)]
    grid = compare.grid(BASE, parse_scans(scans), "load-thread", fixed_platform=False, reals=made_by)
    asked = spec(*grid.scans, runs=runs, warmup=0, kind="compare", real=grid.real)
    made = study(asked, folder, grid.points)
    made.run(Scripted(ours), OneByOne(), Watched())
    return compare.summarise(asked, made.kept.rows)


def test_each_row_stands_below_ours_of_the_same_design() -> None:
    assert names(OLD) == [
        "main-channel",
        "main-channel on QEMU 10.0.13",
        "non-iterable",
        "load-thread",
        "load-thread on QEMU 10.0.13",
        "load-ready",
    ]


def test_only_a_qemu_that_can_holds_the_config_back() -> None:
    assert "load-ready on QEMU 11.1.3" in names(OLD, NEW)
    assert "load-ready on QEMU 10.0.13" not in names(OLD, NEW)


def test_it_runs_the_designs_that_were_named_and_where_it_has_none_of_them_its_own() -> None:
    assert names(OLD, designs="load-thread") == ["load-thread", "load-thread on QEMU 10.0.13"]
    assert names(OLD, designs="ack") == ["ack", "main-channel on QEMU 10.0.13", "load-thread on QEMU 10.0.13"]


def test_two_of_one_version_cannot_be_told_apart() -> None:
    with pytest.raises(UsageError, match=r"two programs of version 10\.0\.13"):
        names(OLD, real((10, 0, 13)))


def test_its_points_are_run_by_it_and_ours_are_not() -> None:
    made = compared(lambda _: 110.0, lambda _: 200.0, "devices=1,2", runs=2)
    medians = {point.settings["handoff"]: point.figures["downtime"].median for point in made.points}
    assert medians == pytest.approx({"load-thread": 0.11, "load-thread on QEMU 10.0.13": 0.2})


def test_the_scenario_it_gets_is_that_of_its_design() -> None:
    qemu = real((10, 0, 13))
    grid = compare.grid(BASE, [], "load-thread", fixed_platform=False, reals=[qemu])
    study(spec(*grid.scans, runs=1, warmup=0), points=grid.points).run(
        Scripted(lambda _: 100), OneByOne(), Watched()
    )
    assert isinstance(qemu.runner, Scripted)
    assert [scenario.handoff for scenario in qemu.runner.seen] == ["load-thread"]


def test_the_deviation_is_of_the_same_design_at_the_same_point_with_its_interval() -> None:
    ours = noisy(lambda s: 100.0 * len(s.device), -2, 0, 2, 4, -4)
    made = compared(ours, lambda s: 110.0 * len(s.device), "devices=1,2")
    assert [found.settings for found in made.deviations] == [{"devices": "1"}, {"devices": "2"}]
    for found in made.deviations:
        assert found.ratio.median == pytest.approx(100 / 110)
        assert found.ratio.low < found.ratio.median < found.ratio.high
    assert made.deviations[0].line() == (
        "devices=1, load-thread on QEMU 10.0.13: 110 ms, migemu 100 ms, -9.1 % (-12.7 % to -5.5 %)"
    )


def test_nothing_is_said_of_a_deviation_where_one_of_the_two_failed() -> None:
    made = compared(lambda _: 100.0, lambda _: -1, runs=3)
    assert made.deviations == ()
    assert [point.verdict for point in made.points] == ["completed", "failed"]
    assert made.failed()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("migration.packet_size=2 MiB", "device packets of 2097152 bytes"),
        ("link.rate=1 Gbit/s", "a slower link"),
        ("devices=0", "no devices"),
        ('order=[{name = "late", type = "delay", attributes = {latency = "1 ms"}}]', "order rules"),
    ],
)
def test_what_a_qemu_cannot_do_is_refused_before_anything_runs(setting: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        compare.grid(with_overrides(BASE, [setting]), [], None, fixed_platform=False, reals=[OLD])


def test_a_platform_that_a_person_insists_on_is_not_a_qemus() -> None:
    with pytest.raises(UsageError, match="runs as x86"):
        compare.grid(ARM, [], "load-ready", fixed_platform=True, reals=[NEW])


def test_else_the_platform_is_made_its_own_and_that_is_said() -> None:
    grid = compare.grid(ARM, [], "load-ready", fixed_platform=False, reals=[NEW])
    platforms = [point.scenario.platform for point in grid.points]
    assert {(one.needs_interrupt_controller, one.interrupt_controller_load_time) for one in platforms} == {
        (False, 0.0)
    }
    assert len(grid.notes) == 2


def test_another_qemu_is_another_study(tmp_path: Path) -> None:
    asked = spec(runs=1, kind="compare", real={"load-thread on QEMU 10.0.13": "QEMU 10.0.13, /a"})
    Folder(tmp_path, asked)
    other = asked.model_copy(update={"real": {"load-thread on QEMU 10.0.13": "QEMU 10.0.13, /b"}})
    with pytest.raises(UsageError, match="they differ in: real"):
        Folder(tmp_path, other)


def test_the_page_sets_the_two_side_by_side(tmp_path: Path) -> None:
    asked_for = compare.grid(BASE, [], "load-thread", fixed_platform=False, reals=[OLD])
    asked = spec(*asked_for.scans, runs=2, warmup=0, kind="compare", real=asked_for.real)
    folder = Folder(tmp_path, asked)
    made = compared_into(folder, asked_for)
    folder.settle()
    study_output.publish(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "How close to a real QEMU" in page
    assert "-50.0 % (-50.0 % to -50.0 %)" in page
    assert "QEMU 10.0.13, /opt/qemu" in page
    assert (tmp_path / "typical" / slug("handoff=load-thread on QEMU 10.0.13")).is_dir()
    assert compare_report.deviations(made.model_copy(update={"deviations": ()})) == ""


def compared_into(folder: Folder, grid: compare.Grid) -> Comparison:
    asked = spec(*grid.scans, runs=2, warmup=0, kind="compare", real=grid.real)
    made = study(asked, folder, grid.points)
    made.run(Scripted(lambda _: 100.0), OneByOne(), Watched())
    return compare.summarise(asked, made.kept.rows)
