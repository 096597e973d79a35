"""``migemu bugs table``: the whole catalogue, each bug found from a cold start, as a Markdown table."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from migemu.lab.budget import parse_budget
from migemu.lab.bugs.hunting import find, vindicate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.lab.bugs import Bug
    from migemu.lab.explore import Budget, Outcome

HEADINGS = ("bug", "what", "breaks", "budget", "found by", "deviations", "all of the correct variant", "real")


@dataclass(frozen=True)
class Row:
    """What came of one bug."""

    name: str
    title: str
    breaks: str
    budget: str
    schedules: int
    """Until it was found."""
    seconds: float
    deviations: int
    minimal: bool
    """Whether no schedule with fewer deviations shows it."""
    passes: bool
    """Whether the correct variant does not have it."""
    correct: int
    """Schedules of the correct variant that were tried."""
    exhausted: bool
    """Whether those are all that it has."""
    broken_real: int | None
    """Runs of the broken variant on real sockets that showed it; None where that was not asked for."""
    correct_real: int | None
    """The same of the correct variant."""
    runs: int
    """Of each."""

    @property
    def good(self) -> bool:
        """Whether everything is as it should be."""
        return self.passes and self.broken_real in (None, self.runs) and not self.correct_real

    def cells(self) -> tuple[str, ...]:
        """As the table has it."""
        verdict = f"exhausted: {self.correct:,}" if self.exhausted else f"first {self.correct:,}"
        return (
            self.name,
            self.title,
            f"`{self.breaks}`",
            self.budget,
            f"schedule {self.schedules:,}",
            f"{self.deviations}{'' if self.minimal else ' or fewer'}",
            verdict if self.passes else f"BREAKS within {self.correct:,}",
            self._real(),
        )

    def _real(self) -> str:
        if self.broken_real is None:
            return ""
        return f"{self.broken_real} of {self.runs}; {self.correct_real} of {self.runs}"


@click.command(short_help="Find every bug, and print a table of what came of it.")
@click.option(
    "--budget",
    metavar="BUDGET",
    help='For the correct variants: "100000, 60 s". [default: what the bug says]',
)
@click.option(
    "--times",
    type=click.IntRange(0),
    metavar="N",
    default=0,
    show_default=True,
    help="Runs of each on real sockets.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each bug.")
@click.argument("names", nargs=-1)
def table(budget: str | None, times: int, as_json: bool, names: tuple[str, ...]) -> None:  # noqa: FBT001  click's
    """Find every bug (or those called NAMES) from a cold start and print what came of it as a table.

    The last column: of so many runs on real sockets the broken variant showed the bug; and the correct one.
    """
    from migemu.lab import bugs  # noqa: PLC0415  the catalogue's files are for those who ask

    entries = [bugs.get(name) for name in names] or bugs.catalogue()
    limit = None if budget is None else parse_budget(budget)
    rows = [_row(bug, limit, times, _echo_json if as_json else _progress) for bug in entries]
    if not as_json:
        for line in markdown(rows):
            click.echo(line)
    if not all(row.good for row in rows):
        raise SystemExit(1)


def _row(bug: Bug, budget: Budget | None, times: int, tell: Callable[[Row], None]) -> Row:
    found = find(bug)
    vindication = vindicate(found, budget)
    shown = _on_sockets(bug, times)
    search: Outcome = vindication.search
    row = Row(
        name=bug.name,
        title=bug.title + " (hypothesis)" * bug.hypothesis,
        breaks=bug.breaks,
        budget=f"{bug.hunt.schedules:,}, {bug.hunt.seconds:g} s",
        schedules=found.outcome.schedules,
        seconds=round(found.outcome.seconds, 3),
        deviations=found.shrunk.deviations,
        minimal=found.shrunk.minimal,
        passes=vindication.passes,
        correct=search.schedules,
        exhausted=search.exhausted,
        broken_real=None if shown is None else shown[0],
        correct_real=None if shown is None else shown[1],
        runs=times,
    )
    tell(row)
    return row


def _on_sockets(bug: Bug, times: int) -> tuple[int, int] | None:
    if bug.real is None or not times:
        return None
    from migemu.cli.bugs_real import run_both  # noqa: PLC0415  starts processes, which a search does not

    broken, correct = run_both(bug, bug.real, times)
    return sum(bool(seen.symptom) for seen in broken), sum(bool(seen.symptom) for seen in correct)


def _echo_json(row: Row) -> None:
    click.echo(json.dumps({"schema": 1} | asdict(row)))


def _progress(row: Row) -> None:
    if sys.stderr.isatty():
        click.echo(f"{row.name}: {', '.join(row.cells()[4:])}", err=True)


def markdown(rows: Sequence[Row]) -> list[str]:
    """The table."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in lines]
