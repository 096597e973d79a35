"""Writing what a study ends with: figures as JSON, a page, and its charts as files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import UsageError
from migemu.lab import compare, compare_report
from migemu.lab.study_kept import read_rows, read_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from migemu.lab.study import Row, Spec
    from migemu.lab.study_page import Picture
    from migemu.lab.study_summary import Summary

REPORT = "report.html"
CHARTS = "charts"


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
    return compare.summarise(spec, rows)


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
    assert isinstance(summary, compare.Comparison)  # noqa: S101  for now
    pictures = compare_report.pictures(summary)
    return pictures, compare_report.page(summary, pictures, folder)
