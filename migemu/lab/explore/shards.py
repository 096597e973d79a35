"""Explorations in pieces: a shard is a pure function of its specification and a range of seeds.

JSON in, JSON out, so that a shard can run in another process or on another machine. Merging reports is
associative and does not depend on their order, and the earliest failing seed wins: the answer is the same
however the work was divided.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from migemu.errors import ScheduleError, UsageError
from migemu.lab.explore.exploration import rare_garbage_collection
from migemu.lab.explore.narrate import trimmed
from migemu.lab.explore.pct import Pct
from migemu.lab.explore.plan import Plan
from migemu.lab.explore.randomwalk import RandomWalk
from migemu.lab.explore.replaying import Follower
from migemu.lab.explore.runner import Runner
from migemu.threads.controlled_rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.lab.explore.outcome import Failure
    from migemu.lab.explore.plan import MakeSystem
    from migemu.lab.explore.sampled import Sampled

FORMAT = 1

STRATEGIES = ("random", "pct", "mixed")


@dataclass(frozen=True, slots=True)
class Spec:
    """What is explored, in words another machine understands."""

    system: str
    """``module:function``; called with the arguments it returns what makes the system."""

    arguments: dict[str, Any]
    """For that function; JSON."""

    strategy: str = "mixed"
    """random, pct, or mixed: random and PCT of depth 2 to 4 by turns."""

    depth: int = 3
    """Of pct."""

    rules: Rules = field(default_factory=Rules)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "system": self.system,
            "arguments": self.arguments,
            "strategy": self.strategy,
            "depth": self.depth,
            "rules": self.rules.as_dict(),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Spec:
        """Read what `as_dict` wrote."""
        return cls(
            raw["system"],
            raw["arguments"],
            raw.get("strategy", "mixed"),
            raw.get("depth", 3),
            Rules.from_dict(raw.get("rules", {})),
        )

    def key(self) -> str:
        """A short text that is different for a different exploration."""
        told = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def make_system(self) -> MakeSystem:
        """Find the system by its name.

        Raises:
            UsageError: there is no such module or function.
        """
        module, _, name = self.system.partition(":")
        try:
            factory: Callable[..., MakeSystem] = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise UsageError(f"no system {self.system}: {error}") from None
        return factory(**self.arguments)


def run_shard(raw: dict[str, Any], first: int, count: int) -> dict[str, Any]:
    """Run the schedules of the seeds `first` … `first + count - 1`.

    Args:
        raw: a :class:`Spec` as a dict.
        first: seed.
        count: how many seeds.

    Returns:
        A report: which seeds were run, how much that was, and for each kind of failure the earliest seed.
    """
    spec = Spec.from_dict(raw)
    runner = Runner(spec.make_system(), spec.rules)
    length = _length(runner)
    report = empty_report(spec)
    with rare_garbage_collection() as collect:
        for seed in range(first, first + count):
            _run_seed(runner, _sampler(spec, seed, length), seed, report)
            collect()
    report["ranges"] = [[first, first + count]] if count else []
    return report


def _length(runner: Runner) -> int:
    """How many decisions the native order has: PCT wants to know, and it must not depend on the shard."""
    follower = Follower(())
    runner.run(Plan(chooser=follower))
    return max(1, len(follower.taken))


def _sampler(spec: Spec, seed: int, length: int) -> Sampled:
    """The strategy of one seed."""
    if spec.strategy == "random":
        return RandomWalk(seed)
    if spec.strategy == "pct":
        return Pct(spec.depth, length, seed)
    if spec.strategy == "mixed":
        return (RandomWalk(seed), Pct(2, length, seed), Pct(3, length, seed), Pct(4, length, seed))[seed % 4]
    raise UsageError(f"unknown strategy {spec.strategy}: one of {', '.join(STRATEGIES)}")


def _run_seed(runner: Runner, sampler: Sampled, seed: int, report: dict[str, Any]) -> None:
    plan = sampler.plan()
    run = runner.run(plan)
    report["schedules"] += 1
    report["steps"] += run.steps
    if run.failure is not None:
        found = _finding(run.failure, sampler, seed)
        name = " ".join(run.failure.signature).strip()
        report["failures"] = merge_failures(report["failures"], {name: found})


def _finding(failure: Failure, sampler: Sampled, seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "count": 1,
        "strategy": sampler.label(),
        "message": str(failure.error),
        "decisions": list(trimmed(sampler.decisions())),
    }


def empty_report(spec: Spec) -> dict[str, Any]:
    """The report before any seed has been run."""
    return {"format": FORMAT, "spec": spec.key(), "ranges": [], "schedules": 0, "steps": 0, "failures": {}}


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The report of both: associative, and the same in either order.

    Raises:
        ScheduleError: they belong to different explorations, or cover a seed twice.
    """
    own = {name: one[name] + other[name] for name in ("schedules", "steps")}
    return merge_reports("explorations", one, other, own)


def merge_reports(
    kind: str, one: dict[str, Any], other: dict[str, Any], own: dict[str, Any]
) -> dict[str, Any]:
    """What reports of shards have in common, merged, and `own`, which the kind of work has merged itself.

    Raises:
        ScheduleError: they belong to different pieces of work, or hold an item twice.
    """
    for name in ("format", "spec"):
        if one[name] != other[name]:
            raise ScheduleError(f"reports of different {kind}: {name} {one[name]} and {other[name]}")
    return {
        **one,
        "ranges": merge_ranges(one["ranges"] + other["ranges"]),
        **own,
        "failures": merge_failures(one["failures"], other["failures"]),
    }


def merge_ranges(ranges: list[list[int]]) -> list[list[int]]:
    """Ranges [first, end) in order, neighbours joined.

    Raises:
        ScheduleError: two of them overlap.
    """
    merged: list[list[int]] = []
    for first, end in sorted(ranges):
        if merged and first < merged[-1][1]:
            raise ScheduleError(f"seeds {first} … {merged[-1][1] - 1} are in two reports")
        if merged and first == merged[-1][1]:
            merged[-1][1] = end
        else:
            merged.append([first, end])
    return merged


def merge_failures(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """For each kind of failure the earliest seed, and how often it was met; the earliest kind first."""
    merged = dict(one)
    for name, found in other.items():
        known = merged.get(name)
        if known is None:
            merged[name] = found
        else:
            earlier = min(known, found, key=lambda finding: int(finding["seed"]))
            merged[name] = {**earlier, "count": known["count"] + found["count"]}
    return dict(sorted(merged.items(), key=lambda item: (item[1]["seed"], item[0])))


def earliest(report: dict[str, Any]) -> dict[str, Any] | None:
    """The finding with the smallest seed."""
    return next(iter(report["failures"].values()), None)


def missing(report: dict[str, Any], first: int, count: int) -> list[tuple[int, int]]:
    """Ranges (first, count) of seeds that no report covers yet: what is left to resume."""
    gaps = []
    at = first
    for start, end in [*report["ranges"], [first + count, first + count]]:
        if start > at:
            gaps.append((at, min(start, first + count) - at))
        at = max(at, end)
    return [gap for gap in gaps if gap[1] > 0]
