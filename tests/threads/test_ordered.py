"""Virtual runs: time passes only in sleeps, first come, first served, and the same run every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import InvariantError, ScheduleError
from migemu.threads.controlled_ordered import OrderedThreads, run_ordered

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_result_is_the_virtual_time_of_the_last_end() -> None:
    def build(threads: OrderedThreads) -> None:
        bql = threads.lock("BQL")

        def load(seconds: float) -> None:
            threads.sleep(seconds)
            with bql:
                threads.sleep(0.07)

        for number in range(4):
            threads.spawn(f"load {number}", lambda: load(0.2))

    assert run_ordered(build) == pytest.approx(0.2 + 4 * 0.07)


def test_a_lock_goes_to_whoever_waits_longest_even_if_its_holder_takes_it_again() -> None:
    order: list[str] = []

    def build(threads: OrderedThreads) -> None:
        lock = threads.lock("link")

        def send(name: str) -> None:
            for _ in range(2):
                with lock:
                    order.append(name)
                    threads.sleep(1)

        for name in "abc":
            threads.spawn(name, lambda name=name: send(name))  # type: ignore[misc]  # a default binds the loop variable

    assert run_ordered(build) == 6.0
    assert order == list("abcabc")


def test_waiters_wake_in_the_order_they_came_and_queue_for_the_lock() -> None:
    order: list[str] = []

    def build(threads: OrderedThreads) -> None:
        lock = threads.lock("lock")
        bell = threads.condition(lock, "bell")

        def wait() -> None:
            with lock:
                bell.wait()
                order.append(threads.current())
                threads.sleep(1)

        def ring() -> None:
            with lock:
                bell.notify(2)
                order.append("rung")
            with lock:
                bell.notify_all()
                order.append("rung again")

        for number in range(3):
            threads.spawn(f"waiter {number}", wait)
        threads.spawn("ringer", ring)

    assert run_ordered(build) == 3.0
    assert order == ["rung", "waiter 0", "waiter 1", "rung again", "waiter 2"]


def test_a_timed_wait_that_is_notified_leaves_no_timer_behind() -> None:
    def build(threads: OrderedThreads) -> None:
        lock = threads.lock("lock")
        bell = threads.condition(lock, "bell")

        def wait() -> None:
            with lock:
                assert bell.wait(100)
            assert lock.acquire(timeout=100)
            lock.release()

        def ring() -> None:
            with lock:
                bell.notify_all()

        threads.spawn("waiter", wait)
        threads.spawn("ringer", ring)

    assert run_ordered(build) == 0.0


def test_two_runs_are_the_same_run() -> None:
    def events() -> list[object]:
        heard: list[object] = []

        def build(threads: OrderedThreads) -> None:
            threads.listen(lambda *event: heard.append(event))
            lock = threads.lock("lock")
            room = threads.condition(lock, "room")
            queue: list[int] = []

            def put(base: int) -> None:
                for number in range(20):
                    threads.sleep(0.001 * ((base + number) % 3))
                    with lock:
                        queue.append(base + number)
                        room.notify()

            def take() -> None:
                for _ in range(20):
                    with lock:
                        while not queue:
                            room.wait()
                        threads.point("taken", item=queue.pop(0))
                    threads.sleep(0.0015)

            for number in range(3):
                threads.spawn(f"put {number}", lambda number=number: put(100 * number))  # type: ignore[misc]  # a default binds the loop variable
                threads.spawn(f"take {number}", take)

        run_ordered(build)
        return heard

    first = events()
    assert len(first) == 60
    assert first == events()


def test_a_standstill_and_an_endless_run_are_errors() -> None:
    def crossed(threads: OrderedThreads) -> None:
        first, second = threads.lock("first"), threads.lock("second")

        def take(outer: str) -> None:
            one, other = (first, second) if outer == "first" else (second, first)
            with one:
                threads.sleep(1)
                with other:
                    pass

        threads.spawn("a", lambda: take("first"))
        threads.spawn("b", lambda: take("second"))

    def endless(threads: OrderedThreads) -> None:
        def tick() -> None:
            while True:
                threads.sleep(1)

        threads.spawn("ticker", tick)

    with pytest.raises(ScheduleError, match="a waits for second, held by b"):
        run_ordered(crossed)
    with pytest.raises(ScheduleError, match="after 60 virtual seconds this still goes on: ticker"):
        run_ordered(endless, max_seconds=60)
    with pytest.raises(ScheduleError, match="after 11 steps"):
        run_ordered(endless, max_blocks=10)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvariantError("too late", invariant="ends"), InvariantError),
        (ValueError("no"), ScheduleError),
    ],
)
def test_what_a_thread_raises_comes_out(error: Exception, expected: type[Exception]) -> None:
    def build(threads: OrderedThreads) -> None:
        def fail() -> None:
            threads.sleep(1)
            raise error

        threads.spawn("load 0", fail)
        threads.spawn("other", lambda: threads.sleep(5))

    with pytest.raises(expected):
        run_ordered(build)


def many_packets(devices: int, packets: int) -> tuple[Callable[[OrderedThreads], None], list[int]]:
    """A virtual migration's skeleton: channels that take turns, devices that load what they were given."""
    loaded: list[int] = [0] * devices

    def build(threads: OrderedThreads) -> None:
        sent = [0]
        dealing = threads.lock("dealing")
        mutexes = [threads.lock(f"load_bufs_mutex {n}") for n in range(devices)]
        ready = [threads.condition(mutex, "buffer ready") for mutex in mutexes]
        waiting = [0] * devices

        def channel() -> None:
            while True:
                with dealing:
                    number, sent[0] = sent[0], sent[0] + 1
                if number >= devices * packets:
                    return
                threads.sleep(1e-4)
                device = number % devices
                with mutexes[device]:
                    waiting[device] += 1
                    ready[device].notify()

        def load(device: int) -> None:
            while loaded[device] < packets:
                with mutexes[device]:
                    while not waiting[device]:
                        ready[device].wait()
                    waiting[device] -= 1
                threads.sleep(2e-4)
                loaded[device] += 1

        for number in range(8):
            threads.spawn(f"recv {number}", channel)
        for number in range(devices):
            threads.spawn(f"load {number}", lambda number=number: load(number))  # type: ignore[misc]  # a default binds the loop variable

    return build, loaded


def test_a_large_run_is_done_event_by_event() -> None:
    build, loaded = many_packets(16, 64)
    seconds = run_ordered(build)
    assert loaded == [64] * 16
    assert seconds == pytest.approx(16 * 64 / 8 * 1e-4 + 2e-4, rel=0.05)
