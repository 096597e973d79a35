"""What the runs of a study say, point by point: medians with intervals, and what failed.

This is also the file a study ends with (``compare.json``, ``sweep.json``): everything a table or a report
shows, and all raw figures it was computed from.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from pydantic import ConfigDict, Field

from migemu.lab.study import Row, Spec  # noqa: TC001  pydantic reads annotations at run time
from migemu.lab.study_nature import Failure, failure
from migemu.lab.study_scan import Scan, combinations, point_name
from migemu.observe import stats
from migemu.observe.model import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.study_scan import Settings

Verdict = Literal["completed", "by nature", "failed", "not run"]


class Spread(Record):
    """What several runs say of one figure."""

    median: float
    low: float = Field(description="of the 95 % bootstrap interval of the median")
    high: float
    p95: float = Field(description="95th percentile of the runs")
    runs: int

    def interval(self) -> stats.Interval:
        """The median and its interval."""
        return stats.Interval(self.median, self.low, self.high)


class RunFigures(Record):
    """One counted run, raw."""

    run: int
    verdict: Literal["completed", "failed"]
    seconds: float
    reasons: tuple[str, ...] = ()
    figures: dict[str, float]


class PointSummary(Record):
    """One point of the grid."""

    point: str
    settings: dict[str, str]
    verdict: Verdict
    completed: int = Field(description="runs that completed")
    invariant: str = Field(default="", description="what failed runs broke, most often")
    reason: str = Field(default="", description="why runs failed, or why nothing was run")
    nature: str = Field(default="", description="why the design had to fail sooner or later")
    figures: dict[str, Spread] = Field(default={}, description="over the completed runs")
    ratio: Spread | None = Field(default=None, description="downtime over that of the first design")
    raw: tuple[RunFigures, ...] = ()

    def spread(self, figure: str) -> Spread | None:
        """A figure, if the runs have it."""
        return self.figures.get(figure)

    def median(self, figure: str) -> float | None:
        """A figure's median, if the runs have it."""
        spread = self.figures.get(figure)
        return None if spread is None else spread.median

    def values(self, figure: str) -> list[float]:
        """A figure of every completed run, in the order of the runs."""
        done = (run for run in self.raw if run.verdict == "completed")
        return [run.figures[figure] for run in done if figure in run.figures]


class Summary(Record):
    """All of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    schema_: str = Field(alias="schema", description="migemu.compare/1 or migemu.sweep/1")
    spec: Spec
    points: tuple[PointSummary, ...]

    def failed(self) -> bool:
        """Whether anything failed that should have completed."""
        return any(point.verdict == "failed" for point in self.points)


def spread(values: Sequence[float], seed: int) -> Spread:
    """A figure's median, interval and 95th percentile."""
    interval = stats.median_interval(values, seed)
    return Spread(
        median=interval.median,
        low=interval.low,
        high=interval.high,
        p95=stats.p95(values),
        runs=len(values),
    )


def summaries(spec: Spec, rows: Sequence[Row]) -> tuple[PointSummary, ...]:
    """What the runs say of every point of the grid, in its order."""
    scans = [Scan(scan.key, scan.values) for scan in spec.scans]
    return tuple(point_summary(settings, rows, spec) for settings in combinations(scans))


def point_summary(settings: Settings, rows: Sequence[Row], spec: Spec) -> PointSummary:
    """What the runs of one point say."""
    name = point_name(settings)
    mine = sorted((row for row in rows if row.point == name), key=lambda row: row.run)
    failures = [found for row in mine if (found := failure(row.result)) is not None]
    worst = _worst(failures)
    done = [row for row in mine if row.completed]
    figures = list(dict.fromkeys(figure for row in done for figure in row.figures))
    every = {figure: [row.figures[figure] for row in done if figure in row.figures] for figure in figures}
    return PointSummary(
        point=name,
        settings=dict(settings),
        verdict=_verdict(mine, failures),
        completed=len(done),
        invariant=worst.invariant,
        reason=worst.reason or spec.skipped.get(name, ""),
        nature=worst.natural,
        figures={figure: spread(values, spec.seed) for figure, values in every.items()},
        raw=tuple(map(_raw, mine)),
    )


def _verdict(rows: Sequence[Row], failures: Sequence[Failure]) -> Verdict:
    if not rows:
        return "not run"
    if not failures:
        return "completed"
    return "by nature" if all(found.natural for found in failures) else "failed"


def _worst(failures: Sequence[Failure]) -> Failure:
    """The commonest failure; an accident counts before what had to be."""
    accidents = [found for found in failures if not found.natural]
    kinds = Counter((found.invariant, found.natural) for found in accidents or failures)
    if not kinds:
        return Failure("", "")
    (kind, _), *_ = kinds.most_common(1)
    return next(found for found in failures if (found.invariant, found.natural) == kind)


def _raw(row: Row) -> RunFigures:
    return RunFigures(
        run=row.run,
        verdict=row.result.verdict,
        seconds=row.seconds,
        reasons=row.result.reasons,
        figures=row.figures,
    )
