"""`migemu report` and `migemu trace`: pictures of what was kept, without the program that measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.sides import Bench, migemu

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_is_reported_and_traced_from_its_folder(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert migemu("run", str(bench.config), "--out", str(out)).returncode == 0
    reported = migemu("report", str(out))
    assert reported.returncode == 0, reported.stderr
    assert "What ran" in (out / "report.html").read_text()
    traced = migemu("trace", str(out), "--out", str(tmp_path / "t.perfetto-trace"))
    assert traced.returncode == 0, traced.stderr
    assert (tmp_path / "t.perfetto-trace").stat().st_size > 1000


def test_a_run_without_events_still_has_a_page(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert migemu("run", str(bench.config), "--out", str(out)).returncode == 0
    (out / "events.jsonl").unlink()
    assert migemu("report", str(out)).returncode == 0
    assert "What ran" in (out / "report.html").read_text()


def test_an_empty_folder_is_nothing_to_report_or_to_trace(tmp_path: Path) -> None:
    for verb, told in (("report", "holds nothing to report"), ("trace", "cannot read events")):
        done = migemu(verb, str(tmp_path))
        assert done.returncode == 2
        assert told in done.stderr
