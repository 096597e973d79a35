"""Writing what a study ends with: figures as JSON, a page, and its charts as files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from migemu.errors import UsageError
from migemu.lab import compare, compare_report, sweep, sweep_report
from migemu.lab.study_kept import read_rows, read_spec
from migemu.lab.sweep_baseline import Baseline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from migemu.lab.study import Row, Spec
    from migemu.lab.study_page import Picture
    from migemu.lab.study_summary import Summary

REPORT = "report.html"
CHARTS = "charts"
BASELINE = "baseline.json"


def publish(folder: Path) -> Summary:
    """Make JSON, page and charts anew from what a study kept.

    Raises:
        UsageError: the folder holds no study, or nothing of it is finished, or it cannot be written.
    """
    spec, rows = read_spec(folder), read_rows(folder)
    if not rows:
        raise UsageError(f"{folder}: no run of the study is finished; the same command as before goes on")
    summary = summarise(spec, rows)
    try:
        _write(folder, summary)
    except OSError as error:
        raise UsageError(f"cannot write the report to {folder}: {error.strerror}") from None
    return summary


def summarise(spec: Spec, rows: Sequence[Row]) -> Summary:
    """What the runs say, as their kind of study says it."""
    return compare.summarise(spec, rows) if spec.kind == "compare" else sweep.summarise(spec, rows)


def keep_baseline(folder: Path, held: Baseline) -> None:
    """Keep how a sweep compares with an earlier one, for its page."""
    (folder / BASELINE).write_text(held.model_dump_json(indent=1) + "\n", encoding="utf-8")


def kept_baseline(folder: Path) -> Baseline | None:
    """How the sweep in a folder compared with an earlier one; None if it was not asked."""
    try:
        return Baseline.model_validate_json((folder / BASELINE).read_bytes())
    except (OSError, ValidationError):
        return None


def _write(folder: Path, summary: Summary) -> None:
    text = summary.model_dump_json(indent=1)
    (folder / f"{summary.spec.kind}.json").write_text(f"{text}\n", encoding="utf-8")
    pictures, page = _drawn(folder, summary)
    (folder / REPORT).write_text(page, encoding="utf-8")
    charts = folder / CHARTS
    charts.mkdir(exist_ok=True)
    for old in charts.glob("*.svg"):
        old.unlink()
    for picture in pictures:
        picture.chart.save(charts / f"{picture.file}.svg")


def _drawn(folder: Path, summary: Summary) -> tuple[Sequence[Picture], str]:
    if isinstance(summary, compare.Comparison):
        pictures = compare_report.pictures(summary)
        return pictures, compare_report.page(summary, pictures, folder)
    assert isinstance(summary, sweep.Sweep)  # noqa: S101  there are two kinds
    pictures = sweep_report.pictures(summary)
    return pictures, sweep_report.page(summary, pictures, kept_baseline(folder))
