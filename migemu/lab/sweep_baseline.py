"""Comparing a sweep with an earlier one: is anything slower than noise explains?

Medians of two sweeps always differ. What the runs of each sweep spread is in the bootstrap interval of the
ratio of medians; that one day's machine differs from another's is not, so on top of it a tolerance is
granted. The rule is printed with every verdict.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from migemu.errors import UsageError
from migemu.lab.sweep import GOALS, Goal, Sweep
from migemu.observe import stats
from migemu.observe.model import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from migemu.lab.study_summary import PointSummary

LEAST_RUNS = 3
"""Runs on either side below which nothing is judged: no spread is known."""

FILE = "sweep.json"

Verdict = Literal["worse", "better", "same", "not judged"]


def rule(tolerance: float) -> str:
    """What counts as a regression, in a sentence."""
    return (
        "a point is worse when even the better end of the 95 % interval of new / old is more than "
        f"{tolerance * 100:g} % worse, or when it completed then and fails now; "
        f"fewer than {LEAST_RUNS} runs are not judged"
    )


class Judgement(Record):
    """One figure of one point, then and now."""

    point: str
    figure: str
    label: str
    old: float | None
    new: float | None
    ratio: float | None = Field(default=None, description="new over old")
    low: float | None = Field(default=None, description="of the ratio's 95 % interval")
    high: float | None = None
    verdict: Verdict


class Baseline(Record):
    """A sweep held against an earlier one."""

    file: str
    tolerance: float
    rule: str
    judgements: tuple[Judgement, ...]
    unmatched: tuple[str, ...] = Field(default=(), description="points that only one of the two has")

    def worse(self) -> list[Judgement]:
        """The regressions."""
        return [judgement for judgement in self.judgements if judgement.verdict == "worse"]


def read(path: Path) -> Sweep:
    """An earlier sweep, from its JSON or its folder.

    Raises:
        UsageError: it cannot be read, or is no sweep of this version.
    """
    file = path / FILE if path.is_dir() else path
    try:
        return Sweep.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the baseline {file}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{file} is not a sweep of this version: {where}: {first['msg']}") from None


def check_alike(old: Sweep, scenario: str) -> None:
    """Refuse to compare two workloads; keys that only one version of migemu has do not count.

    Raises:
        UsageError: the settings that differ.
    """
    differ = list(_differences(tomllib.loads(old.spec.scenario), tomllib.loads(scenario), ""))
    if differ:
        more = f" and {len(differ) - 4} more" if len(differ) > 4 else ""
        raise UsageError(
            f"the baseline is of another workload, they differ in: {', '.join(differ[:4])}{more}"
        )


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() & new.keys() - ({"name"} if not path else set()):
            yield from _differences(old[key], new[key], f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(one, other, f"{path}.{place}")
    elif old != new:
        yield path


def judge(sweep: Sweep, old: Sweep, file: Path, tolerance: float) -> Baseline:
    """Hold a sweep against an earlier one.

    Args:
        sweep: the new one.
        old: the earlier one.
        file: where that came from.
        tolerance: by how much a figure may be worse, as a share, beyond what the runs' spread explains.
    """
    before = {point.point: point for point in old.points}
    now = {point.point: point for point in sweep.points}
    pairs = [(before[name], now[name]) for name in now if name in before]
    judgements = [_judged(goal, *pair, sweep.spec.seed, tolerance) for pair in pairs for goal in GOALS]
    return Baseline(
        file=str(file),
        tolerance=tolerance,
        rule=rule(tolerance),
        judgements=tuple(judgement for judgement in judgements if judgement is not None),
        unmatched=tuple(sorted(before.keys() ^ now.keys())),
    )


def _judged(
    goal: Goal, old: PointSummary, new: PointSummary, seed: int, tolerance: float
) -> Judgement | None:
    """One figure of one point; None where neither sweep has it."""
    values, others = new.values(goal.figure), old.values(goal.figure)
    if not values and not others:
        return None
    blank = Judgement(
        point=new.point,
        figure=goal.figure,
        label=goal.label,
        old=old.median(goal.figure),
        new=new.median(goal.figure),
        verdict="not judged",
    )
    if old.verdict == "completed" and new.verdict == "failed":
        return blank.model_copy(update={"verdict": "worse"})
    if min(len(values), len(others)) < LEAST_RUNS:
        return blank
    ratio = stats.ratio_interval(values, others, seed)
    said = {"ratio": ratio.median, "low": ratio.low, "high": ratio.high}
    return blank.model_copy(update={**said, "verdict": _verdict(ratio, goal, tolerance)})


def _verdict(ratio: stats.Interval, goal: Goal, tolerance: float) -> Verdict:
    """Both ends of the interval must lie beyond the tolerance, on the same side."""
    longer, shorter = ratio.low > 1 + tolerance, ratio.high < 1 / (1 + tolerance)
    if longer or shorter:
        return "worse" if longer == goal.less_is_better else "better"
    return "same"
