"""The speed model, on a clock that only sleeping moves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from migemu.vfio.pace import MAX_CREDIT, Pacer, Sleeper

if TYPE_CHECKING:
    from vfio.conftest import Clock, Log


def paced(clock: Clock, rate: float | None) -> Pacer:
    return Pacer(rate, clock, Sleeper(clock))


def test_a_thousand_operations_take_a_thousand_times_as_long_although_every_sleep_is_late(
    clock: Clock,
) -> None:
    clock.overshoot = 0.0005
    pacer = paced(clock, 1000.0)
    for _ in range(1000):
        pacer.begin()
        pacer.end(1)
    assert clock.time - 100.0 == pytest.approx(1.0, abs=0.001)


def test_real_work_counts_towards_the_modelled_time(clock: Clock) -> None:
    pacer = paced(clock, 100.0)
    pacer.begin()
    clock.time += 0.7
    pacer.end(100)
    assert clock.time == pytest.approx(101.0)


def test_an_idle_device_earns_no_credit(clock: Clock) -> None:
    pacer = paced(clock, 100.0)
    pacer.begin()
    pacer.end(100)
    clock.time += 50
    pacer.begin()
    pacer.end(100)
    assert clock.time == pytest.approx(152.0)


def test_a_long_stall_of_the_machine_is_made_good_only_in_part(clock: Clock) -> None:
    pacer = paced(clock, 100.0)
    pacer.begin()
    clock.time += 10
    pacer.end(100)
    pacer.begin()
    pacer.end(100)
    assert clock.time == pytest.approx(111.0 - MAX_CREDIT)


def test_no_rate_never_sleeps(clock: Clock) -> None:
    pacer = paced(clock, None)
    pacer.begin()
    pacer.end(2**40)
    assert clock.time == 100.0


def test_a_long_sleep_ends_when_it_is_cancelled(log: Log) -> None:
    sleeper = Sleeper(log)
    woken = threading.Event()

    def sleep() -> None:
        sleeper.sleep(3600)
        woken.set()

    thread, _ = log.run("sleeper", sleep)
    sleeper.cancel()
    assert thread.join(10)
    assert woken.is_set()
    assert not sleeper.sleep(1)
    sleeper.rearm()
    assert sleeper.sleep(0.001)
