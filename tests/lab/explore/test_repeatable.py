"""Nothing uncontrolled may leak in: a system whose runs differ is refused, with the first differing step."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from migemu.errors import ScheduleError
from migemu.lab.explore import Budget, Dfs, explore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.threads.controlled import ControlledThreads


class Leaky:
    """Does something else every time it is run."""

    runs: Iterator[int] = count()

    def __init__(self, leak: str) -> None:
        self.leak = leak
        self.run = next(self.runs)

    def build(self, threads: ControlledThreads) -> None:
        def work() -> None:
            threads.turn()
            if self.leak == "field":
                threads.point("multifd_recv_packet", idx=self.run)
            if self.leak == "steps" and self.run % 2:
                threads.turn()
            if self.leak == "time":
                threads.sleep(1 + self.run)
                threads.turn()

        threads.spawn("recv 0", work)
        threads.spawn("recv 1", threads.turn)


@pytest.mark.parametrize(
    ("leak", "told"),
    [
        ("field", "once «recv 0 takes its turn: multifd_recv_packet idx="),
        ("steps", r"step \d"),
        ("time", r"step \d"),
    ],
)
def test_a_leak_is_an_error_that_names_the_first_differing_step(leak: str, told: str) -> None:
    with pytest.raises(ScheduleError, match="the system is not repeatable") as raised:
        explore(lambda: Leaky(leak), Dfs())
    assert raised.match(told)
    assert raised.match("something besides the schedule leaks in")


def test_a_system_without_leaks_passes() -> None:
    assert explore(lambda: Leaky(""), Dfs()).exhausted


def test_only_the_first_schedules_are_run_twice() -> None:
    Leaky.runs = count()
    outcome = explore(lambda: Leaky(""), Dfs(reduce=False), Budget(confirmed=2))
    assert next(Leaky.runs) == outcome.schedules + 2 * 2
