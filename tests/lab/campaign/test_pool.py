"""The pool: calls side by side, and a process that dies in the middle of one costs time only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.campaign.calls import deaf, die, die_once, double, limited, refuse, stumble
from migemu.errors import MigemuError, UsageError
from migemu.lab.campaign.pool import Pool, guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_every_call_is_made_once_and_known_by_its_number() -> None:
    assert sorted(Pool(2).each(double, [(n,) for n in range(20)])) == [(n, 2 * n) for n in range(20)]


def test_calls_are_asked_for_only_when_somebody_is_free() -> None:
    asked: list[int] = []

    def calls() -> Iterator[tuple[int]]:
        for number in range(100):
            asked.append(number)
            yield (number,)

    done = Pool(2).each(double, calls())
    next(done)
    assert len(asked) <= 4
    done.close()


def test_processes_do_not_hear_ctrl_c_not_even_while_they_start() -> None:
    # Who starts them does, before and after: it is blocked, not ignored, in between.
    assert list(Pool(1).each(deaf, [()])) == [(0, True)]
    assert not deaf()


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    pool = Pool(2, told.append)
    values = sorted(
        value for _, value in pool.each(die_once, [(str(tmp_path / "mark"), n) for n in range(12)])
    )
    assert values == list(range(12))
    assert len(told) == 1
    assert "killed by SIGKILL" in told[0]


def test_an_idle_process_that_is_killed_loses_nothing_either() -> None:
    pool = Pool(2)
    done = pool.each(double, [(n,) for n in range(10)])
    values = [next(done)[1]]
    for worker in pool.workers:
        worker.process.kill()
        worker.process.join(10)
    assert sorted(values + [value for _, value in done]) == [2 * n for n in range(10)]


def test_work_that_kills_whoever_does_it_is_given_up() -> None:
    with pytest.raises(MigemuError, match=r"exit code 7.*, the 3rd with the same piece of work"):
        list(Pool(1).each(die, [(7,)]))


def test_a_failing_call_ends_the_pool_with_its_error() -> None:
    pool = Pool(2)
    with pytest.raises(UsageError, match="no such thing"):
        list(pool.each(refuse, [("no such thing",)] * 4))
    assert pool.workers == []


def test_errors_survive_the_way_between_processes() -> None:
    done, error = guarded(stumble)
    assert not done
    assert str(error) == "a worker met ZeroDivisionError: nought"
    assert "in stumble" in error.__notes__[0]
    with pytest.raises(MigemuError, match="too much"):
        list(Pool(1).each(limited, [()]))
