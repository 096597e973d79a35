"""How far a study is: a bar with the time left on a terminal, one line a run everywhere else."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from migemu.observe import amounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from migemu.lab.study import Row, Task

OTHERS = 58
"""Columns of a terminal's line besides what is being run."""
LAST = 20
"""Columns of it for what came of the last run."""


class Clock:
    """Guesses how long the rest takes, from how long each point took so far.

    Args:
        rows: runs finished before this start.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._took: dict[str, list[float]] = defaultdict(list)
        for row in rows:
            self._took[row.point].append(row.seconds)
        self._left: list[str] = []

    def order(self, tasks: Sequence[Task]) -> None:
        """So much is to be done."""
        self._left = [task.point.name for task in tasks]

    def ended(self, point: str, seconds: float | None) -> None:
        """One is done, or with None left out."""
        self._left.remove(point)
        if seconds is not None:
            self._took[point].append(seconds)

    def left(self) -> float | None:
        """Seconds until the end; None while nothing is known."""
        means = {point: fmean(took) for point, took in self._took.items()}
        if not means:
            return None
        common = fmean(means.values())
        return sum(means.get(point, common) for point in self._left)


def duration(seconds: float | None) -> str:
    """``2 h 05 min``, ``4 min``, ``20 s``."""
    if seconds is None:
        return "some time"
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 100 else f"{max(1, round(seconds))} s"


class Lines:
    """A line for each run that ended."""

    def __init__(self, console: Console, rows: Sequence[Row]) -> None:
        self._file = console.file
        self._clock = Clock(rows)
        self._all = 0
        self._number = 0

    def order(self, tasks: Sequence[Task]) -> None:
        """Say what is coming."""
        self._all = len(tasks)
        self._clock.order(tasks)

    def begins(self, task: Task) -> None:
        """The line comes when it is over."""

    def ended(self, task: Task, row: Row) -> None:
        """Say what came of it, and how much is left."""
        self._clock.ended(row.point, row.seconds)
        self._say(task, outcome(row))

    def left_out(self, task: Task) -> None:
        """Say why there is nothing to say."""
        self._clock.ended(task.point.name, None)
        self._say(task, "left out: every run of it has failed")

    def _say(self, task: Task, what: str) -> None:
        self._number += 1
        width = len(str(self._all))
        left = self._clock.left()
        rest = f", {duration(left)} left" if self._number < self._all else ""
        self._file.write(f"{self._number:{width}d}/{self._all}  {label(task)}: {what}{rest}\n")
        self._file.flush()


class Bar(Lines):
    """One line that moves."""

    def __init__(self, console: Console, rows: Sequence[Row], progress: Progress) -> None:
        super().__init__(console, rows)
        self._progress = progress
        self._room = max(12, console.width - OTHERS)
        self._bar: TaskID | None = None
        self._last = ""

    def order(self, tasks: Sequence[Task]) -> None:
        """Show an empty bar."""
        super().order(tasks)
        self._bar = self._progress.add_task("", total=len(tasks), left="", last="")

    def begins(self, task: Task) -> None:
        """Name what runs now."""
        self._show(now=fitted(label(task), self._room))

    def _say(self, task: Task, what: str) -> None:
        self._number += 1
        self._last = fitted(what, LAST)
        self._show(now=fitted(label(task), self._room))

    def _show(self, now: str) -> None:
        if self._bar is not None:
            left = f"{duration(self._clock.left())} left"
            self._progress.update(
                self._bar, completed=self._number, description=now, left=left, last=self._last
            )


def label(task: Task) -> str:
    """What runs: which of a point's runs, and the point."""
    return f"{task.point.name}, {'warm-up' if task.run < 0 else f'run {task.run + 1}'}"


def outcome(row: Row) -> str:
    """One run's outcome in a few words."""
    if not row.completed:
        reasons = row.result.reasons
        return f"failed: {reasons[0]}" if reasons else "failed"
    return f"downtime {amounts.time(row.figures.get('downtime'))}"


def fitted(text: str, room: int) -> str:
    """The text, cut where there is no room for it."""
    return text if len(text) <= room else text[: room - 3] + "..."


@contextmanager
def watching(console: Console, rows: Sequence[Row]) -> Iterator[Lines]:
    """Watch a study until the block ends.

    Args:
        console: where to.
        rows: runs finished before.
    """
    if not console.is_terminal:
        yield Lines(console, rows)
        return
    columns = (
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}", style="cyan"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[last]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(console, rows, progress)
