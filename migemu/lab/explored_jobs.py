"""``migemu explore --jobs N``: seeds on several processes, until one fails or the budget is spent."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from migemu.errors import ScheduleError
from migemu.lab.explore import Outcome, Runner
from migemu.lab.explore.jobs import run_jobs
from migemu.lab.explore.outcome import Failure
from migemu.lab.explore.plan import Plan
from migemu.lab.explore.replaying import Follower
from migemu.lab.explore.shards import earliest, empty_report
from migemu.lab.explored import spec_of

if TYPE_CHECKING:
    from migemu.lab.explore import Budget, Rules
    from migemu.lab.system import Setup
    from migemu.lab.system_source import SourceSetup

SHARD = 500
"""Seeds of one piece of work: a second or less."""

STRATEGIES = {"random": "random", "pct": "pct", "portfolio": "mixed"}
"""What takes the place of a strategy that has to learn from its own schedules."""


def explore_with_jobs(
    subject: Setup | SourceSetup, rules: Rules, strategy: str, budget: Budget, seed: int, jobs: int
) -> Outcome:
    """Run waves of shards.

    Raises:
        ScheduleError: a failing seed does not fail again in this process.
    """
    what = spec_of(subject, STRATEGIES[strategy], rules)
    outcome = Outcome(f"{strategy}, {jobs} processes")
    report = empty_report(what)
    started = time.monotonic()
    most = math.inf if budget.schedules is None else budget.schedules
    while not outcome.verdict:
        wave = int(min(SHARD * jobs, most - outcome.schedules))
        report = run_jobs(what, seed + outcome.schedules, wave, jobs=jobs, shard=SHARD, report=report)
        outcome.schedules, outcome.steps = report["schedules"], report["steps"]
        outcome.seconds = time.monotonic() - started
        found = earliest(report)
        if found is not None:
            outcome.failure = _again(subject, rules, found)
            outcome.found_by = found["strategy"]
            outcome.verdict = f"seed {found['seed']} fails: {outcome.failure.error}"
        else:
            outcome.verdict = budget.met(outcome)
    return outcome


def _again(subject: Setup | SourceSetup, rules: Rules, found: dict[str, Any]) -> Failure:
    """The failure of a seed, met in this process."""
    runner = Runner(subject, rules)
    failure = runner.run(Plan(chooser=Follower(found["decisions"]))).failure
    if failure is None:
        raise ScheduleError(f"seed {found['seed']} failed in another process and passes in this one")
    return Failure(
        failure.kind, failure.error, tuple(found["decisions"]), failure.thread, failure.waits, failure.steps
    )
