"""A comparison: the same workload under several hand-off designs, everything else alike.

A comparison is a study whose last scan is the design. What it adds is the choice of designs, a platform on
which all of them may run, and each design's ratio to the first one at the same point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from migemu.errors import ConfigError, UsageError
from migemu.handoff import HANDOFFS, handoff
from migemu.handoff.choice import choose, for_machine
from migemu.lab.study_scan import Point, Scan, combinations, point, point_name
from migemu.lab.study_summary import PointSummary, Spread, Summary, summaries
from migemu.observe import stats
from migemu.observe.model import Record
from migemu.scenario import with_overrides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.study import Row, Spec
    from migemu.scenario import Scenario

SCHEMA: Literal["migemu.compare/1"] = "migemu.compare/1"
ALL = "all"
KEY = "handoff"
CONTROLLER = "platform.needs_interrupt_controller"
DEFAULT = "main-channel,non-iterable,load-thread,load-ready"
"""Before the series, the proposal that began the debate, and the two that were merged."""

ON_X86 = f"{CONTROLLER} = false for all designs, as on x86: some may load config early and need that"


class DesignRecord(Record):
    """A design as its file tells it."""

    name: str
    summary: str
    runs_as: str = Field(description="what takes its place on this machine type; itself where nothing does")
    data: str = Field(description="what carries the devices' data")
    config: str = Field(description="what carries their configs")
    data_loader: str
    config_loader: str
    bql_for_config: bool
    proposed_in: str


class Comparison(Summary):
    """All of a comparison; the points' last setting is the design."""

    schema_: Literal["migemu.compare/1"] = Field(default=SCHEMA, alias="schema")
    designs: tuple[DesignRecord, ...]


class Grid(NamedTuple):
    """What a comparison is going to run."""

    base: Scenario
    scans: tuple[Scan, ...]
    points: list[Point]
    skipped: dict[str, str]
    """Points that cannot run, with the reason."""
    notes: tuple[str, ...]


def parse_designs(text: str) -> tuple[str, ...]:
    """Read ``--handoffs a,b`` or ``all``.

    Raises:
        UsageError: a design is unknown or named twice.
    """
    if text.strip() == ALL:
        return tuple(HANDOFFS)
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        handoff(name)
        if names.count(name) > 1:
            raise UsageError(f"--handoffs names {name} twice")
    return names


def grid(base: Scenario, scans: Sequence[Scan], designs: str | None, *, fixed_platform: bool) -> Grid:
    """Every point of a comparison.

    Args:
        base: the workload.
        scans: what else is varied.
        designs: as for `parse_designs`, None for `DEFAULT`. Where nobody named one, the platform is made one
            that lets them run, and a design that cannot run all the same is left out, not refused.
        fixed_platform: a person has said what the platform needs, so it is left alone.

    Raises:
        ConfigError: a point cannot be, or a design that was named cannot run.
    """
    if any(scan.key == KEY for scan in scans):
        raise UsageError("the designs are chosen by --handoffs a,b, not by --scan handoff=a,b")
    named = designs is not None and designs.strip() != ALL
    names = parse_designs(designs or DEFAULT)
    notes: tuple[str, ...] = ()
    if not named and base.platform.needs_interrupt_controller and not fixed_platform:
        base, notes = with_overrides(base, [f"{CONTROLLER}=false"]), (ON_X86,)
    every = (*scans, Scan(KEY, names))
    points, skipped = [], {}
    for settings in combinations(every):
        made = point(base, settings)
        reason = refusal(made.scenario)
        if reason is None:
            points.append(made)
        elif named:
            raise ConfigError(reason)
        else:
            skipped[point_name(settings)] = reason
    return Grid(base, every, points, skipped, notes)


def refusal(scenario: Scenario) -> str | None:
    """Why a scenario's design cannot run; None when it can."""
    try:
        choose(scenario)
    except ConfigError as error:
        return error.message
    return None


def summarise(spec: Spec, rows: Sequence[Row]) -> Comparison:
    """What a comparison's runs say."""
    points = summaries(spec, rows)
    machine = rows[0].result.scenario.effective.get("machine", "") if rows else ""
    names = spec.scans[-1].values
    return Comparison(
        spec=spec,
        points=tuple(_with_ratio(point, base_of(point, points, names[0]), spec.seed) for point in points),
        designs=tuple(design_record(name, str(machine)) for name in names),
    )


def base_of(point: PointSummary, points: Sequence[PointSummary], first: str) -> PointSummary:
    """The first design at the same point."""
    wanted = point.settings | {KEY: first}
    return next(other for other in points if other.settings == wanted)


def _with_ratio(point: PointSummary, base: PointSummary, seed: int) -> PointSummary:
    values, others = point.values("downtime"), base.values("downtime")
    if not values or not others:
        return point
    ratio = stats.ratio_interval(values, others, seed)
    ratios = [value / (base.median("downtime") or 1.0) for value in values]
    spread = Spread(
        median=ratio.median, low=ratio.low, high=ratio.high, p95=stats.p95(ratios), runs=len(values)
    )
    return point.model_copy(update={"ratio": spread})


def design_record(name: str, machine: str) -> DesignRecord:
    """What a design's file says of it."""
    design = handoff(name).design
    return DesignRecord(
        name=name,
        summary=design.summary,
        runs_as=_replacement(name, machine),
        data=str(design.data),
        config=str(design.config),
        data_loader=str(design.data_loader),
        config_loader=str(design.config_loader),
        bql_for_config=design.bql_for_config,
        proposed_in=design.proposed_in,
    )


def _replacement(name: str, machine: str) -> str:
    try:
        return for_machine(name, machine).design.name if machine else name
    except ConfigError:
        return name
