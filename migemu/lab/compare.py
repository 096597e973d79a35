"""A comparison: the same workload under several hand-off designs, everything else alike.

A comparison is a study whose last scan is the design. What it adds is the choice of designs, a platform on
which all of them may run, and each design's ratio to the first one at the same point.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from migemu.errors import ConfigError, UsageError
from migemu.handoff import HANDOFFS, handoff
from migemu.handoff.choice import choose, for_machine
from migemu.lab import compare_qemu
from migemu.lab.study_scan import Point, Scan, combinations, point, point_name
from migemu.lab.study_summary import PointSummary, Spread, Summary, summaries
from migemu.observe import stats
from migemu.observe.model import Record
from migemu.scenario import with_overrides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migemu.lab.compare_qemu import Real
    from migemu.lab.study import Row, Spec
    from migemu.lab.study_scan import Settings
    from migemu.scenario import Scenario

SCHEMA: Literal["migemu.compare/1"] = "migemu.compare/1"
ALL = "all"
KEY = compare_qemu.KEY
CONTROLLER = "platform.needs_interrupt_controller"
CONTROLLER_TIME = "platform.interrupt_controller_load_time"
DEFAULT = "main-channel,non-iterable,load-thread,load-ready"
"""Before the series, the proposal that began the debate, and the two that were merged."""

ON_X86 = f"{CONTROLLER} = false for all designs, as on x86: some may load config early and need that"
NO_CONTROLLER = f"{CONTROLLER_TIME} = 0 s for all designs: a real QEMU's x86 machine has no such controller"


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
    program: str = Field(default="", description="the real QEMU that runs it; empty: migemu does")


class Comparison(Summary):
    """All of a comparison; the points' last setting is the design."""

    schema_: Literal["migemu.compare/1"] = Field(default=SCHEMA, alias="schema")
    designs: tuple[DesignRecord, ...]
    deviations: tuple[compare_qemu.Deviation, ...] = Field(
        default=(), description="our downtimes beside those of a real QEMU, where one took part"
    )


class Grid(NamedTuple):
    """What a comparison is going to run."""

    base: Scenario
    scans: tuple[Scan, ...]
    points: list[Point]
    skipped: dict[str, str]
    """Points that cannot run, with the reason."""
    notes: tuple[str, ...]
    real: dict[str, str]
    """Rows that a real QEMU runs, each with its program."""


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


def grid(
    base: Scenario,
    scans: Sequence[Scan],
    designs: str | None,
    *,
    fixed_platform: bool,
    reals: Sequence[Real] = (),
) -> Grid:
    """Every point of a comparison.

    Args:
        base: the workload.
        scans: what else is varied.
        designs: as for `parse_designs`, None for `DEFAULT`. Where nobody named one, the platform is made one
            that lets them run, and a design that cannot run all the same is left out, not refused.
        fixed_platform: a person has said what the platform needs, so it is left alone.
        reals: real QEMUs that take part; what one of them cannot do is refused.

    Raises:
        ConfigError: a point cannot be, or a design that was named cannot run.
        UsageError: a real QEMU cannot run a point.
    """
    if any(scan.key == KEY for scan in scans):
        raise UsageError("the designs are chosen by --handoffs a,b, not by --scan handoff=a,b")
    named = designs is not None and designs.strip() != ALL
    names = parse_designs(DEFAULT if designs is None else designs)
    base, notes = (base, ()) if fixed_platform else on_x86(base, named=named, real=bool(reals))
    made = compare_qemu.rows(names, reals)
    every = (*scans, Scan(KEY, compare_qemu.among(names, made)))
    points, skipped = [], {}
    for settings in combinations(every):
        one = _point(base, settings, made)
        reason = refusal(one.scenario)
        if reason is None:
            points.append(one)
        elif named:
            raise ConfigError(reason)
        else:
            skipped[point_name(settings)] = reason
    return Grid(base, every, points, skipped, notes, {row: real.program for row, real in made.items()})


def on_x86(base: Scenario, *, named: bool, real: bool) -> tuple[Scenario, tuple[str, ...]]:
    """The platform on which all designs may run, where nobody asked for another; and what was changed."""
    platform, notes = base.platform, []
    if platform.needs_interrupt_controller and (real or not named):
        base = with_overrides(base, [f"{CONTROLLER}=false"])
        notes.append(ON_X86)
    if real and platform.interrupt_controller_load_time:
        base = with_overrides(base, [f"{CONTROLLER_TIME}=0 s"])
        notes.append(NO_CONTROLLER)
    return base, tuple(notes)


def _point(base: Scenario, settings: Settings, made: Mapping[str, Real]) -> Point:
    """A point; a real QEMU's is that of its design, run by it.

    Raises:
        UsageError: it cannot.
    """
    *others, (_, row) = settings
    one = point(base, (*others, (KEY, compare_qemu.design_of(row))))
    if row not in made:
        return one
    real = made[row]
    reason = compare_qemu.refusal(one.scenario, real.launcher)
    if reason is not None:
        raise UsageError(reason)
    return replace(one, settings=settings, runner=real.runner)


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
        designs=tuple(design_record(name, str(machine), spec.real.get(name, "")) for name in names),
        deviations=compare_qemu.deviations(points, spec.seed),
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


def design_record(name: str, machine: str, program: str = "") -> DesignRecord:
    """What a design's file says of it; `program` runs it, where migemu does not."""
    runs = compare_qemu.design_of(name)
    design = handoff(runs).design
    instead = _replacement(runs, machine)
    return DesignRecord(
        name=name,
        summary=f"{program}: {design.summary}" if program else design.summary,
        runs_as=name if instead == runs else instead,
        data=str(design.data),
        config=str(design.config),
        data_loader=str(design.data_loader),
        config_loader=str(design.config_loader),
        bql_for_config=design.bql_for_config,
        proposed_in=design.proposed_in,
        program=program,
    )


def _replacement(name: str, machine: str) -> str:
    try:
        return for_machine(name, machine).design.name if machine else name
    except ConfigError:
        return name
