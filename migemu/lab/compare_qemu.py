"""A real QEMU's rows in a comparison: which designs it has, what it cannot do, how close our own come to it.

A row is a design as one QEMU runs it. It stands beside our run of the same design, is measured in the same
rounds, and has the same figures as far as QEMU tells them. The deviation between the two is what the row is
for: it says how far our designs may be trusted where no QEMU can be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from migemu.errors import MigemuError, UsageError
from migemu.lab.study_summary import PointSummary, Spread
from migemu.observe import amounts, stats
from migemu.observe.model import Record
from migemu.qemu.standin import MAX_DEVICES
from migemu.qemu.translate import AFTER_ITER, HANDOFFS, PACKET, Plan
from migemu.scenario import Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from migemu.lab.runner import Runner
    from migemu.qemu.binary import Launcher
    from migemu.scenario import Scenario

KEY = "handoff"
ON = " on QEMU "
"""Between a design and the version of the QEMU that runs it."""


class Real(NamedTuple):
    """A QEMU of a comparison."""

    launcher: Launcher
    runner: Runner

    def row(self, design: str) -> str:
        """What a design's row is called."""
        return f"{design}{ON}{self.launcher.version_text}"

    @property
    def program(self) -> str:
        """What runs, for people."""
        return f"QEMU {self.launcher.version_text}, {self.launcher.program}"

    def designs(self) -> tuple[str, ...]:
        """The designs it has: those of multifd off and on, and who holds the config back since 10.1."""
        able = self.launcher.version >= AFTER_ITER
        return tuple(name for name in HANDOFFS if able or name != "load-ready")


class Deviation(Record):
    """Our run of a design beside a real QEMU's, at one point."""

    settings: dict[str, str] = Field(description="what was varied besides the design")
    design: str
    real: str = Field(description="the row of the real QEMU")
    theirs: Spread = Field(description="the real QEMU's downtime, seconds")
    ours: Spread = Field(description="migemu's, seconds")
    ratio: Spread = Field(description="migemu's over the real QEMU's")

    def line(self) -> str:
        """One line for people."""
        place = "".join(f"{key}={value}, " for key, value in self.settings.items())
        took = f"{amounts.time(self.theirs.median)}, migemu {amounts.time(self.ours.median)}"
        return f"{place}{self.real}: {took}, {self.percent()}"

    def percent(self) -> str:
        """How much longer ours is, with the interval."""
        low, middle, high = (_percent(each) for each in (self.ratio.low, self.ratio.median, self.ratio.high))
        return f"{middle} ({low} to {high})"


def _percent(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"


def rows(names: Sequence[str], reals: Iterable[Real]) -> dict[str, Real]:
    """The rows of real QEMUs: of the designs named those that each has, or if none, all that it has.

    Raises:
        UsageError: two QEMUs are of one version, so their rows could not be told apart.
    """
    found: dict[str, Real] = {}
    for real in reals:
        wanted = [design for design in real.designs() if design in names] or real.designs()
        made = {real.row(design): real for design in wanted}
        if made.keys() & found.keys():
            raise UsageError(f"--with-qemu names two programs of version {real.launcher.version_text}")
        found |= made
    return found


def among(names: Sequence[str], made: Mapping[str, Real]) -> tuple[str, ...]:
    """All rows in order: each real one below our own of the same design, the others last."""
    beside = [row for name in names for row in (name, *(row for row in made if design_of(row) == name))]
    return (*beside, *(row for row in made if row not in beside))


def design_of(row: str) -> str:
    """The design that a row runs."""
    return row.partition(ON)[0]


def is_real(row: str) -> bool:
    """Whether a real QEMU runs it."""
    return ON in row


def refusal(scenario: Scenario, launcher: Launcher) -> str | None:
    """Why a real QEMU cannot be compared on a scenario; None when it can."""
    found = next((text for applies, text in _beyond(scenario) if applies), None)
    if found is not None:
        return f"a real QEMU cannot be put beside this scenario: {found}"
    try:
        Plan(scenario, launcher.version)
    except MigemuError as error:
        return error.message
    return None


def _beyond(scenario: Scenario) -> Iterator[tuple[bool, str]]:
    """What a QEMU has no way to do, and a comparison would silently leave out."""
    packet = scenario.migration.packet_size
    yield (
        packet > PACKET,
        f"device packets of {packet} bytes, and QEMU's are of 1 MiB at most (migration.packet_size)",
    )
    slow = "a slower link (link.rate, link.per_channel and link.delay must be unlimited and 0 s)"
    yield scenario.link != Link(), slow
    yield bool(scenario.order), "order rules, which act between processes of ours or through a tap"
    count = len(scenario.device)
    yield not count, "there are no devices"
    yield count > MAX_DEVICES, f"{count} devices, and its root bus holds {MAX_DEVICES}"
    needs = scenario.platform.needs_interrupt_controller
    yield needs, "it runs as x86, which needs no interrupt controller (platform.needs_interrupt_controller)"


def deviations(points: Sequence[PointSummary], seed: int) -> tuple[Deviation, ...]:
    """Every real row that has completed runs beside our own row of its design, if that is there too."""
    ours = {_place(point): point for point in points if not is_real(point.settings[KEY])}
    found: list[Deviation] = []
    for point in points:
        beside = ours.get(_place(point))
        if is_real(point.settings[KEY]) and beside is not None:
            found += _deviation(point, beside, seed)
    return tuple(found)


def _place(point: PointSummary) -> tuple[tuple[str, str], ...]:
    """The point with its design, whoever runs it."""
    return tuple((point.settings | {KEY: design_of(point.settings[KEY])}).items())


def _deviation(real: PointSummary, beside: PointSummary, seed: int) -> Iterator[Deviation]:
    """Nothing where one of the two never completed."""
    theirs, ours = real.spread("downtime"), beside.spread("downtime")
    if theirs is None or ours is None or not theirs.median:
        return
    values = beside.values("downtime")
    ratio = stats.ratio_interval(values, real.values("downtime"), seed)
    ratios = [value / theirs.median for value in values]
    spread = Spread(
        median=ratio.median, low=ratio.low, high=ratio.high, p95=stats.p95(ratios), runs=len(ratios)
    )
    row = real.settings[KEY]
    settings = {key: value for key, value in real.settings.items() if key != KEY}
    yield Deviation(
        settings=settings, design=design_of(row), real=row, theirs=theirs, ours=ours, ratio=spread
    )
