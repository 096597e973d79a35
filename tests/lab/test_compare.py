"""A comparison: which designs run, what one row says, what is a failure and what is a design's nature."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from lab.studies import BASE, Scripted, Watched, noisy, spec, study
from migemu.errors import ConfigError, UsageError
from migemu.handoff import HANDOFFS
from migemu.lab import compare, study_output
from migemu.lab.compare_table import print_table, remarks
from migemu.lab.runner import OneByOne
from migemu.lab.study_kept import Folder
from migemu.lab.study_nature import weaknesses
from migemu.lab.study_scan import Scan, parse_scans
from migemu.scenario import with_overrides

if TYPE_CHECKING:
    from pathlib import Path

    from lab.studies import DowntimeOf
    from migemu.lab.compare import Comparison
    from migemu.lab.runner import Measured
    from migemu.lab.study import Spec
    from migemu.lab.study_scan import Point
    from migemu.scenario import Scenario

ARM = with_overrides(BASE, ["platform.needs_interrupt_controller=true"])
MS = {"main-channel": 400.0, "load-thread": 200.0, "load-ready": 210.0}
HUNG = "destination: device 0000:00:01.0/vfio, idx 3: invariant ends: the receive threads wait for each other"


def of_design(scenario: Scenario) -> float:
    return MS.get(scenario.handoff, 300.0) + 10 * len(scenario.device)


def compared(
    designs: str, downtime: DowntimeOf, *scans: str, runs: int = 5, reason: str = "destination: it broke"
) -> Comparison:
    asked, points = asked_for(designs, *scans, runs=runs)
    made = study(asked, points=points)
    made.run(Scripted(downtime, reason=reason), OneByOne(), Watched())
    return compare.summarise(asked, made.kept.rows)


def asked_for(designs: str, *scans: str, runs: int = 5) -> tuple[Spec, list[Point]]:
    grid = compare.grid(BASE, parse_scans(scans), designs, fixed_platform=False)
    asked = spec(*grid.scans, runs=runs, warmup=0, kind="compare", skipped=grid.skipped)
    return asked, grid.points


def test_designs_are_named_or_all() -> None:
    assert compare.parse_designs("all") == tuple(HANDOFFS)
    assert compare.parse_designs("load-thread, main-channel") == ("load-thread", "main-channel")
    with pytest.raises(ConfigError, match="unknown hand-off"):
        compare.parse_designs("load-thread,load-never")
    with pytest.raises(UsageError, match="twice"):
        compare.parse_designs("ack,ack")


def test_all_designs_run_on_a_platform_that_lets_them_and_that_is_said() -> None:
    grid = compare.grid(ARM, [], "all", fixed_platform=False)
    assert len(grid.points) == len(HANDOFFS)
    assert not any(p.scenario.platform.needs_interrupt_controller for p in grid.points)
    assert "needs_interrupt_controller = false" in grid.notes[0]


def test_without_a_word_the_debates_main_designs_run_on_any_config() -> None:
    grid = compare.grid(ARM, [], None, fixed_platform=False)
    assert [p.scenario.handoff for p in grid.points] == compare.DEFAULT.split(",")
    assert grid.notes


def test_a_platform_that_a_person_chose_stays_and_designs_it_refuses_are_left_out() -> None:
    grid = compare.grid(ARM, [], "all", fixed_platform=True)
    assert all(p.scenario.platform.needs_interrupt_controller for p in grid.points)
    assert "handoff=load-thread" in grid.skipped
    assert "handoff=load-ready" not in grid.skipped
    assert grid.notes == ()


def test_a_design_that_was_named_and_cannot_run_is_an_error_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="interrupt controller"):
        compare.grid(ARM, [], "load-ready,load-thread", fixed_platform=False)


def test_an_old_machine_type_leaves_out_what_it_never_had() -> None:
    old = with_overrides(BASE, ["machine=9.2", "handoff=main-channel"])
    grid = compare.grid(old, [], "all", fixed_platform=False)
    assert "needs machine type" in grid.skipped["handoff=ack"]
    assert {p.scenario.handoff for p in grid.points} == {"main-channel", "load-thread", "load-ready"}


def test_designs_are_not_scanned_as_well() -> None:
    with pytest.raises(UsageError, match="--handoffs"):
        compare.grid(BASE, [Scan("handoff", ("ack",))], "all", fixed_platform=False)


def test_the_ratio_is_to_the_first_design_at_the_same_point() -> None:
    made = compared("main-channel,load-thread", of_design, "devices=1,2")
    assert [point.point for point in made.points] == [
        "devices=1, handoff=main-channel",
        "devices=1, handoff=load-thread",
        "devices=2, handoff=main-channel",
        "devices=2, handoff=load-thread",
    ]
    ratios = [point.ratio.median for point in made.points if point.ratio]
    assert ratios == pytest.approx([1, 210 / 410, 1, 220 / 420])


def test_the_interval_is_as_wide_as_the_runs_differ() -> None:
    made = compared("main-channel", noisy(of_design, -20, 0, 5, 60, 30), runs=5)
    found = made.points[0].figures["downtime"]
    assert found.median == pytest.approx(0.425)  # 400 + 10 for each of two devices, and 5
    assert 0.3999 <= found.low < found.median < found.high <= 0.4801
    assert found.p95 == pytest.approx(0.474)
    assert len(made.points[0].raw) == 5


def test_one_row_a_design_with_everything_in_it() -> None:
    text = printed(compared("main-channel,load-ready", of_design), 200)
    rows = [line for line in text.splitlines() if line.startswith(("main-channel", "load-ready"))]
    assert len(rows) == 2
    heads = text.splitlines()[0].split()
    for head in ("downtime", "p95", "ratio", "transfer", "wait", "load", "ready", "config", "BQL:"):
        assert head in heads
    assert rows[0].split()[1] == "420.0"
    assert "0.55" in rows[1].split()


def printed(made: Comparison, width: int, *, terminal: bool = True) -> str:
    out = io.StringIO()
    print_table(made, Console(file=out, width=width, force_terminal=terminal, no_color=True))
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


def test_a_narrow_terminal_gets_the_same_columns_below_each_other() -> None:
    made = compared("main-channel,load-ready", of_design)
    text = printed(made, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("main-channel") == 3
    assert set(printed(made, 200).split()) <= set(text.split())


def test_a_pipe_gets_one_table_however_wide() -> None:
    text = printed(compared("main-channel,load-ready", of_design), 80, terminal=False)
    assert text.count("main-channel") == 1


def test_a_failure_is_a_failure() -> None:
    made = compared("main-channel,load-ready", lambda s: -1 if s.handoff == "load-ready" else 100)
    assert made.failed()
    assert [point.verdict for point in made.points] == ["completed", "failed"]
    assert remarks(made) == ["load-ready: failed in 3 of 3 runs: destination: it broke"]
    assert "3 OF 3 FAILED" in printed(made, 200)


def test_a_design_that_hangs_by_its_nature_is_a_finding_with_its_invariant() -> None:
    made = compared(
        "main-channel,recv-loads", lambda s: -1 if s.handoff == "recv-loads" else 100, reason=HUNG
    )
    point = made.points[1]
    assert (point.verdict, point.invariant) == ("by nature", "ends")
    assert not made.failed()
    (told,) = remarks(made)
    assert told.startswith("recv-loads: broke invariant ends by its nature")
    assert "3 of 3 failed, by nature" in printed(made, 200)


def test_the_same_design_breaking_otherwise_is_a_failure() -> None:
    made = compared("recv-loads", lambda _: -1, reason="destination: invariant data-intact: RAM differs")
    assert made.failed()
    assert made.points[0].invariant == "data-intact"


def test_one_accident_among_natural_failures_is_still_an_accident() -> None:
    turns = iter([HUNG, "destination: it broke", HUNG])

    class Mixed(Scripted):
        def __call__(self, scenario: Scenario) -> Measured:
            self.reason = next(turns)
            return super().__call__(scenario)

    asked, points = asked_for("recv-loads", runs=3)
    made = study(asked, points=points)
    made.run(Mixed(lambda _: -1), OneByOne(), Watched())
    summary = compare.summarise(asked, made.kept.rows)
    assert summary.failed()
    assert summary.points[0].reason == "destination: it broke"


def test_loading_config_early_where_it_must_not_be_is_a_weakness_of_those_that_may() -> None:
    def weak(design: str, machine: Scenario = ARM) -> set[str]:
        scenario = machine.model_copy(update={"handoff": design})
        return set(weaknesses(scenario.model_dump(mode="json")))

    assert weak("load-thread") == {"config-after-iterables"}
    assert weak("load-ready") == set()
    assert weak("recv-loads") == {"ends"}
    assert weak("load-thread", machine=BASE) == set()


def test_what_was_left_out_stands_in_the_table_with_its_reason() -> None:
    grid = compare.grid(ARM, [], "all", fixed_platform=True)
    asked = spec(*grid.scans, runs=1, warmup=0, kind="compare", skipped=grid.skipped)
    made = study(asked, points=grid.points)
    made.run(Scripted(of_design), OneByOne(), Watched())
    summary = compare.summarise(asked, made.kept.rows)
    assert not summary.failed()
    assert any("load-thread: not run: hand-off load-thread may load" in line for line in remarks(summary))


def test_a_design_that_another_one_stands_in_for_says_so() -> None:
    old = with_overrides(BASE, ["machine=9.2", "handoff=main-channel"])
    grid = compare.grid(old, [], "main-channel,load-ready", fixed_platform=False)
    asked = spec(*grid.scans, runs=1, warmup=0, kind="compare")
    made = study(asked, points=grid.points)
    made.run(Scripted(of_design), OneByOne(), Watched())
    summary = compare.summarise(asked, made.kept.rows)
    assert "load-ready (runs as main-channel)" in printed(summary, 200)


def test_the_page_is_whole_and_fetches_nothing(tmp_path: Path) -> None:
    asked, points = asked_for("main-channel,load-thread,recv-loads", "devices=1,2")
    folder = Folder(tmp_path, asked)
    made = study(asked, folder, points)
    runner = Scripted(lambda s: -1 if s.handoff == "recv-loads" else of_design(s), reason=HUNG)
    made.run(runner, OneByOne(), Watched())
    folder.settle()
    study_output.publish(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"(?:src|href)=\"(?!#)|url\((?!#)|<script|@import", page)
    assert page.count("ms since the downtime began") == 4  # a timeline for each point that completed
    for text in ("by nature", "devices=2", "Ratios", "ready, not yet allowed", "main-channel"):
        assert text in page
    assert {"path-devices=1.svg", "bql-devices=2.svg", "downtime.svg"} <= {
        path.name for path in (tmp_path / "charts").iterdir()
    }


def test_the_json_has_every_raw_figure_the_scenario_and_the_versions(tmp_path: Path) -> None:
    asked, points = asked_for("main-channel,load-thread", runs=2)
    folder = Folder(tmp_path, asked)
    study(asked, folder, points).run(Scripted(of_design), OneByOne(), Watched())
    study_output.publish(tmp_path)
    again = compare.Comparison.model_validate_json((tmp_path / "compare.json").read_text())
    assert again.schema_ == "migemu.compare/1"
    assert [run.figures["downtime"] for run in again.points[0].raw] == pytest.approx([0.42, 0.42])
    assert again.spec.versions.python == "3"
    assert 'name = "two"' in again.spec.scenario
    assert [design.name for design in again.designs] == ["main-channel", "load-thread"]
