"""A sweep: one workload over a grid of settings, mostly channel counts, and what the curve says.

The knee is the smallest count that is as good as the best one, as far as the runs can tell: its median
lies within the best median's 95 % interval, or beyond it on the good side. More channels than that cost
connections, threads and memory for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from migemu.lab.study_page import axis_of, line_name
from migemu.lab.study_summary import Summary, summaries
from migemu.observe.model import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.study import Row, Spec
    from migemu.lab.study_scan import Scan
    from migemu.lab.study_summary import PointSummary, Spread

SCHEMA: Literal["migemu.sweep/1"] = "migemu.sweep/1"
DEFAULT_SCAN = "channels=1,2,4,8,16,32,64"


class Goal(NamedTuple):
    """A figure that a sweep is about."""

    figure: str
    label: str
    less_is_better: bool


GOALS = (
    Goal("downtime", "downtime", less_is_better=True),
    Goal("device_rate", "device-state throughput", less_is_better=False),
    Goal("ram_rate", "RAM throughput before the downtime", less_is_better=False),
)
"""What knees are looked for in, and what a baseline is compared by."""


class Knee(Record):
    """The smallest count that is as good as the best."""

    figure: str
    label: str
    line: str = Field(description="the other keys' values, empty where there are none")
    axis: str
    best: str = Field(description="value of the axis with the best median")
    best_median: float
    knee: str = Field(description="smallest value of the axis within the best one's interval")
    knee_median: float

    def text(self) -> str:
        """One line for people."""
        where = f" ({self.line})" if self.line else ""
        knee = f"{self.label}{where}: knee at {self.axis}={self.knee}"
        if self.knee == self.best:
            return f"{knee}, which is the best"
        return f"{knee}, within the interval of the best, {self.best}"


class Sweep(Summary):
    """All of a sweep."""

    schema_: Literal["migemu.sweep/1"] = Field(default=SCHEMA, alias="schema")
    knees: tuple[Knee, ...] = ()


def summarise(spec: Spec, rows: Sequence[Row]) -> Sweep:
    """What a sweep's runs say."""
    plain = Sweep(spec=spec, points=summaries(spec, rows))
    return plain.model_copy(update={"knees": tuple(knees(plain))})


def knees(sweep: Summary) -> list[Knee]:
    """A knee for each goal and each line of points."""
    axis = axis_of(sweep)
    if axis is None:
        return []
    lines: dict[str, list[PointSummary]] = {}
    for point in sweep.points:
        lines.setdefault(line_name(point, axis.key), []).append(point)
    found = (knee(goal, line, points, axis) for line, points in lines.items() for goal in GOALS)
    return [one for one in found if one is not None]


def knee(goal: Goal, line: str, points: Sequence[PointSummary], axis: Scan) -> Knee | None:
    """The knee of one line; None where fewer than two points have the figure."""
    known = [(point.settings[axis.key], spread) for point in points if (spread := point.spread(goal.figure))]
    if len(known) < 2:
        return None
    sign = 1 if goal.less_is_better else -1
    best_at, best = min(known, key=lambda item: (sign * item[1].median, float(item[0])))
    good = [(value, spread) for value, spread in known if _as_good(spread, best, goal)]
    knee_at, least = min(good, key=lambda item: float(item[0]))
    return Knee(
        figure=goal.figure,
        label=goal.label,
        line=line,
        axis=axis.key,
        best=best_at,
        best_median=best.median,
        knee=knee_at,
        knee_median=least.median,
    )


def _as_good(spread: Spread, best: Spread, goal: Goal) -> bool:
    return spread.median <= best.high if goal.less_is_better else spread.median >= best.low
