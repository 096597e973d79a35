"""One exploration as `migemu explore` was asked for it: by strategy, resumable, on several processes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from migemu.errors import MigemuError, ScheduleError, UsageError
from migemu.lab.explore import (
    Dfs,
    Narrative,
    Pct,
    Portfolio,
    RandomWalk,
    Report,
    Runner,
    Shrunk,
    explore,
    frontier,
    narrate,
    report,
    shrink,
)
from migemu.lab.explore.plan import Plan
from migemu.lab.explore.replaying import Follower
from migemu.lab.explored_jobs import explore_with_jobs
from migemu.lab.known_states import over_states

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.lab.explore import Budget, Failure, Outcome, Rules, Strategy
    from migemu.lab.system import Setup
    from migemu.lab.system_source import SourceSetup

STRATEGIES = ("dfs", "random", "pct", "portfolio")


@dataclass(frozen=True)
class Task:
    """What is explored, how, and for how long.

    Attributes:
        subject: the side that is explored.
        rules: faults.
        strategy: one of STRATEGIES.
        budget: of this run.
        seed: of the random strategies.
        jobs: processes.
        frontier: where a depth-first search is kept.
        progress: called now and then.
    """

    subject: Setup | SourceSetup
    rules: Rules
    strategy: str
    budget: Budget
    seed: int
    jobs: int
    frontier: Path | None = None
    progress: Callable[[Outcome], None] | None = None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: it does not.
        """
        if self.strategy == "dfs" and self.jobs > 1:
            raise UsageError("dfs runs in one process; --jobs is for random, pct and portfolio")
        if self.strategy != "dfs" and self.frontier is not None:
            raise UsageError("--frontier is for dfs: the other strategies go on with another --seed")

    def run(self) -> Outcome:
        """Explore."""
        if self.frontier is not None:
            return self._resumable(self.frontier)
        if self.jobs > 1:
            return explore_with_jobs(
                self.subject, self.rules, self.strategy, self.budget, self.seed, self.jobs
            )
        return explore(self.subject, self._make_strategy(), self.budget, self.rules, progress=self.progress)

    def _make_strategy(self) -> Strategy:
        if self.strategy == "dfs":
            return over_states()
        if self.strategy == "random":
            return RandomWalk(self.seed)
        length = self.length()
        return Pct(3, length, self.seed) if self.strategy == "pct" else Portfolio.usual(length, self.seed)

    def length(self) -> int:
        """Decisions of the native order: PCT spreads its changes over them."""
        follower = Follower(())
        Runner(self.subject, self.rules).run(Plan(chooser=follower))
        return max(1, len(follower.taken))

    def _resumable(self, path: Path) -> Outcome:
        """A depth-first search that begins where the file says and leaves there where it stopped.

        It is over schedules: what a search knows of states is of use to its own process only.

        Raises:
            UsageError: the file cannot be read or written; better now than when it is over.
            ScheduleError: it holds something else.
            MigemuError: the disk does not take it in the end.
        """
        text = self.subject.text()
        resumed = frontier.load(_read(path), text) if path.exists() else None
        _check_writable(path)
        strategy, rules = (resumed.strategy, resumed.rules) if resumed else (Dfs(), self.rules)
        if rules != self.rules:
            raise ScheduleError(f"{path} was made with other faults: {rules.as_dict()}")
        so_far = resumed.so_far if resumed else None
        budget = self._further(so_far)
        outcome = explore(self.subject, strategy, budget, rules, so_far, progress=self.progress)
        if not outcome.exhausted and outcome.failure is None:
            _write(path, json.dumps(frontier.save(strategy, rules, outcome, text)))
        return outcome

    def _further(self, so_far: Outcome | None) -> Budget:
        """The budget is for this run; the counts go on from the last one."""
        if so_far is None:
            return self.budget
        schedules, seconds = self.budget.schedules, self.budget.seconds
        return replace(
            self.budget,
            schedules=None if schedules is None else schedules + so_far.schedules,
            seconds=None if seconds is None else seconds + so_far.seconds,
        )

    def finding(self, failure: Failure) -> Finding:
        """The failure, shrunk, told, and with its token."""
        runner = Runner(self.subject, self.rules)
        shrunk = shrink(runner, failure)
        found = report(runner, shrunk, self.subject.text())
        return Finding(shrunk, found, narrate(runner, shrunk.decisions))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is no frontier that --frontier kept: {error}") from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _check_writable(path: Path) -> None:
    try:
        _beside(path).touch()
        _beside(path).unlink()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    """Replace the file as a whole: a full disk leaves what was there."""
    try:
        _beside(path).write_text(text, encoding="utf-8")
        _beside(path).replace(path)
    except OSError as error:
        _beside(path).unlink(missing_ok=True)
        raise MigemuError(f"the search could not be kept in {path}: {error.strerror}") from None


@dataclass(frozen=True)
class Finding:
    """A failing schedule made small."""

    shrunk: Shrunk
    report: Report
    told: Narrative
