"""A sweep in virtual time as shards: item n is one run of one point of a grid.

The specification: ``scenario`` (TOML), ``scans`` (pairs of a key and its values) and ``runs`` (of each point;
run r has the scenario's seed plus r). Item n is run ``n % runs`` of point ``n // runs``.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING, Any

from migemu.errors import ConfigError
from migemu.lab.explore.shards import merge_failures, merge_reports
from migemu.lab.study_figures import figures
from migemu.lab.study_scan import Scan, grid
from migemu.lab.virtual import run_virtual
from migemu.scenario import loads

if TYPE_CHECKING:
    from migemu.lab.study_scan import Point

FORMAT = 1

JsonObject = dict[str, Any]


def points_of(what: JsonObject) -> list[Point]:
    """The grid of a specification.

    Raises:
        ConfigError: a value is wrong.
    """
    return _points(json.dumps(what, sort_keys=True))


@lru_cache(maxsize=4)
def _points(told: str) -> list[Point]:
    """Read once, however many shards a process does."""
    what = json.loads(told)
    base = loads(what["scenario"], "the campaign's scenario", environ={})
    return grid(base, [Scan(key, tuple(values)) for key, values in what.get("scans", [])])


def items_of(what: JsonObject) -> int:
    """How many runs there are in all."""
    return len(points_of(what)) * int(what["runs"])


def run_shard(what: JsonObject, first: int, count: int) -> JsonObject:
    """Run the items `first` … `first + count - 1`.

    Raises:
        ConfigError: the specification is wrong, or there is no such item.
    """
    report = empty_report(what)
    if first + count > items_of(what):
        raise ConfigError(f"runs {first} … {first + count - 1} of a sweep of {items_of(what)}")
    for item in range(first, first + count):
        row, reason = _run(what, item)
        report["rows"][str(item)] = row
        if reason is not None:
            found = {"seed": item, "count": 1, "message": reason, "point": row["point"]}
            report["failures"] = merge_failures(report["failures"], {reason: found})
    report["ranges"] = [[first, first + count]] if count else []
    return report


def _run(what: JsonObject, item: int) -> tuple[JsonObject, str | None]:
    """One run: its row, and why it did not complete."""
    number, run = divmod(item, int(what["runs"]))
    point = points_of(what)[number]
    scenario = point.scenario.model_copy(update={"seed": point.scenario.seed + run})
    measured = run_virtual(scenario)
    verdict = measured.result.verdict
    row = {"point": point.name, "run": run, "verdict": verdict}
    row["figures"] = figures(measured.result, measured.events)
    return row, None if verdict == "completed" else "; ".join(measured.result.reasons) or verdict


def empty_report(what: JsonObject) -> JsonObject:
    """The report before any run.

    Raises:
        ConfigError: the specification is wrong.
    """
    if not isinstance(what["runs"], int) or what["runs"] < 1:
        raise ConfigError("runs: a whole number from 1 on")
    points_of(what)
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return {"format": FORMAT, "spec": key, "ranges": [], "rows": {}, "failures": {}}


def merge(one: JsonObject, other: JsonObject) -> JsonObject:
    """The report of both: associative, and the same in either order.

    Raises:
        ScheduleError: they belong to different sweeps, or hold a run twice.
    """
    rows = dict(sorted((one["rows"] | other["rows"]).items(), key=lambda row: int(row[0])))
    return merge_reports("sweeps", one, other, {"rows": rows})


def medians(report: JsonObject, figure: str) -> dict[str, float]:
    """A figure's median of each point that has it, in the grid's order."""
    seen: dict[str, list[float]] = {}
    for row in report["rows"].values():
        if figure in row["figures"]:
            seen.setdefault(row["point"], []).append(row["figures"][figure])
    return {point: median(values) for point, values in seen.items()}
