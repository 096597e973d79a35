"""``--jobs N``: the runs of a virtual study side by side, on processes of this machine.

For virtual runs only: what is measured in real time must not share a machine's cores.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from migemu.lab.campaign.pool import Pool
from migemu.lab.runner import timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from migemu.lab.campaign.pool import OnLost
    from migemu.lab.runner import Finished, Job, Runner
    from migemu.scenario import Scenario

T = TypeVar("T")


class SideBySide:
    """Some at a time; a lost process costs time only, because a virtual run is the same every time.

    Args:
        jobs: how many.
        on_lost: is told when a process was lost.
        events: whether anybody wants them; bringing them home takes as long as a third of the run.
    """

    def __init__(self, jobs: int, on_lost: OnLost = lambda _told: None, *, events: bool = True) -> None:
        self._jobs = jobs
        self._call = timed if events else timed_without_events
        self._on_lost = on_lost

    def each(self, work: Iterable[T], job_of: Callable[[T], Job]) -> Iterator[tuple[T, Finished]]:
        """Each piece of work with what came of it, in the order of the work: so is what is kept."""
        items: list[T] = []

        def calls() -> Iterator[Job]:
            for item in work:
                items.append(item)
                yield job_of(item)

        early: dict[int, Finished] = {}
        following = 0
        with closing(Pool(self._jobs, self._on_lost).each(self._call, calls())) as done:
            for number, finished in done:
                early[number] = finished
                while following in early:
                    yield items[following], early.pop(following)
                    following += 1


def timed_without_events(runner: Runner, scenario: Scenario) -> Finished:
    """One run, and how long it took, but not what happened in it."""
    finished = timed(runner, scenario)
    return replace(finished, measured=replace(finished.measured, events=()))
