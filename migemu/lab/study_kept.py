"""What a study leaves behind, while it runs and afterwards.

A folder::

    study.json          what was asked for (migemu.study/1)
    runs.jsonl          one line for each counted run, written when it ended
    typical/POINT/      one run of each point as `migemu run --out` keeps it: events, result, scenario
    compare.json        or sweep.json: medians, intervals and all raw figures
    report.html         and charts/

A study that was interrupted has the first three; the same command goes on from there.

Events are large and only one run of each point is drawn, so while a study runs only those nearest to the
median so far are kept, and in the end the nearest of all.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from pydantic import ValidationError

from migemu.errors import MigemuError, UsageError
from migemu.lab.study import Row, Spec
from migemu.observe import recorder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from migemu.observe.events import Event
    from migemu.scenario import Scenario

STUDY = recorder.STUDY
RUNS = "runs.jsonl"
TYPICAL = "typical"
WHILE_RUNNING = "candidates"
LONGEST_NAME = 150
"""Characters of a point's folder; file systems end at 255 bytes."""
CANDIDATES = 3
"""Runs of a point whose events are kept while the median may still move."""


class Memory:
    """Nothing but the rows: for a study that nobody wanted kept."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, row: Row, scenario: Scenario, events: Sequence[Event]) -> None:
        """The rows are all there is."""


class Folder:
    """A study's folder, made or found.

    Args:
        path: of the folder, which exists.
        spec: what is asked for now.

    Raises:
        UsageError: the folder holds another study, or what it holds cannot be read.
    """

    def __init__(self, path: Path, spec: Spec) -> None:
        self.path = path
        self.rows: list[Row] = []
        if (path / STUDY).exists():
            check_same(path, read_spec(path), spec)
            self.rows = read_rows(path)
        _write(path / STUDY, spec.model_dump_json(indent=2) + "\n")
        _write(path / RUNS, "".join(map(_line, self.rows)))  # without a line that a kill has torn

    def add(self, row: Row, scenario: Scenario, events: Sequence[Event]) -> None:
        """Keep a finished run: from here on it need not be run again."""
        try:
            with (self.path / RUNS).open("a", encoding="utf-8") as file:
                file.write(_line(row))
        except OSError as error:
            raise MigemuError(f"the run could not be kept in {self.path}: {error.strerror}") from None
        folder = self._candidate(row)
        folder.mkdir(parents=True, exist_ok=True)
        recorder.save(folder, scenario, events, row.result)
        self._drop_far_ones(row.point)

    def _candidate(self, row: Row) -> Path:
        return self.path / WHILE_RUNNING / slug(row.point) / str(row.run)

    def _drop_far_ones(self, point: str) -> None:
        near = nearest(self.rows, point)
        held = [row for row in near if self._candidate(row).is_dir()]
        for row in held[CANDIDATES:]:
            shutil.rmtree(self._candidate(row))

    def settle(self) -> None:
        """The study is complete: keep the typical run of each point alone."""
        for point in dict.fromkeys(row.point for row in self.rows):
            held = [row for row in nearest(self.rows, point) if self._candidate(row).is_dir()]
            if held:
                target = self.path / TYPICAL / slug(point)
                shutil.rmtree(target, ignore_errors=True)
                target.parent.mkdir(exist_ok=True)
                self._candidate(held[0]).replace(target)
        shutil.rmtree(self.path / WHILE_RUNNING, ignore_errors=True)


def slug(point: str) -> str:
    """A point's name as that of a folder."""
    kept = "".join(char if char.isalnum() or char in "_.=+-" else "-" for char in point.replace(", ", "+"))
    kept = kept.strip("-.") or "all"
    mark = hashlib.sha256(point.encode()).hexdigest()[:8]
    return kept if len(kept) <= LONGEST_NAME else f"{kept[:LONGEST_NAME]}-{mark}"


def nearest(rows: Sequence[Row], point: str) -> list[Row]:
    """A point's runs, the most typical first: completed ones by their distance to the median downtime."""
    mine = [row for row in rows if row.point == point]
    downtimes = sorted(row.figures["downtime"] for row in mine if row.completed and "downtime" in row.figures)
    if not downtimes:
        return mine[::-1]
    median = downtimes[(len(downtimes) - 1) // 2]
    far = float("inf")
    return sorted(
        mine, key=lambda row: abs(row.figures.get("downtime", far) - median) if row.completed else far
    )


def read_spec(path: Path) -> Spec:
    """What the study in a folder does.

    Raises:
        UsageError: there is none, or it is of another version.
    """
    try:
        return Spec.model_validate_json((path / STUDY).read_bytes())
    except OSError as error:
        raise UsageError(f"no study in {path}: {error.strerror}") from None
    except ValidationError as error:
        raise UsageError(f"{path / STUDY} is not a study of this version: {_first(error)}") from None


def read_rows(path: Path) -> list[Row]:
    """Every run of a folder; a last line that was cut short is one that was not finished.

    Raises:
        UsageError: a line is not a run.
    """
    if not (path / RUNS).exists():
        return []
    lines = (path / RUNS).read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                rows.append(Row.model_validate_json(line))
        except ValidationError as error:
            if number < len(lines):
                raise UsageError(f"{path / RUNS}, line {number}: {_first(error)}") from None
    return rows


def check_same(path: Path, there: Spec, asked: Spec) -> None:
    """Refuse to put two different studies into one folder; only the number of runs may differ.

    Raises:
        UsageError: what differs.
    """
    old, new = there.model_dump(exclude={"runs"}), asked.model_dump(exclude={"runs"})
    differ = [name.rstrip("_") for name in old if old[name] != new[name]]
    if differ:
        raise UsageError(
            f"{path} holds another study, they differ in: {', '.join(differ)}; choose another --out, "
            "or run the same command as before to go on with it"
        )


def _line(row: Row) -> str:
    return json.dumps(row.model_dump(mode="json"), separators=(",", ":"), default=str) + "\n"


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole: a kill leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
