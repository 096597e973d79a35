"""The same stories on every implementation of the seam: native, controlled, and on a virtual clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_ordered import run_ordered
from migemu.threads.controlled_rules import Rules
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads

    Story = Callable[[Threads], None]
    Play = Callable[[Story], None]


def play_native(story: Story) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            story(NativeThreads())
        except BaseException as error:  # noqa: BLE001  shown by the caller
            errors.append(error)

    thread = threading.Thread(target=run, name="main", daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def play_controlled(story: Story) -> None:
    engine = Engine(Rules())
    threads = ControlledThreads(engine)
    engine.run(lambda: threads.spawn("main", lambda: story(threads)))
    ended, failure = engine.ended, engine.failure
    engine.abandon()
    if failure is not None:
        raise failure[2].__cause__ or failure[2]
    assert ended == "done"


def play_ordered(story: Story) -> None:
    run_ordered(lambda threads: threads.spawn("main", lambda: story(threads)))


@pytest.fixture(params=[play_native, play_controlled, play_ordered], ids=["native", "controlled", "ordered"])
def play(request: pytest.FixtureRequest) -> Play:
    chosen: Play = request.param
    return chosen


def test_a_lock_lets_one_thread_in_at_a_time(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("counter lock")
        inside = [0]
        worst = [0]

        def work() -> None:
            for _ in range(20):
                with lock:
                    inside[0] += 1
                    worst[0] = max(worst[0], inside[0])
                    threads.sleep(0.0001)
                    inside[0] -= 1

        workers = [threads.spawn(f"worker {n}", work) for n in range(4)]
        assert all(worker.join(10) for worker in workers)
        assert worst[0] == 1

    play(story)


def test_held_says_whether_the_caller_holds_it(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")
        seen: list[bool] = []
        with lock:
            assert lock.held()
            other = threads.spawn("other", lambda: seen.append(lock.held()))
            assert other.join(10)
        assert not lock.held()
        assert seen == [False]

    play(story)


def test_acquire_gives_up_after_its_time(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")
        results: list[bool] = []

        def other() -> None:
            results.append(lock.acquire(timeout=0))
            results.append(lock.acquire(timeout=0.01))

        with lock:
            assert threads.spawn("other", other).join(10)
        assert results == [False, False]
        assert lock.acquire(timeout=0)
        lock.release()
        assert lock.acquire(timeout=5)
        lock.release()

    play(story)


def test_a_timed_acquire_gets_the_lock_when_it_is_released_in_time(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")
        results: list[bool] = []

        def other() -> None:
            results.append(lock.acquire(timeout=10))
            lock.release()

        with lock:
            waiter = threads.spawn("other", other)
            threads.sleep(0.01)
        assert waiter.join(10)
        threads.sleep(20 if not isinstance(threads, NativeThreads) else 0)
        assert results == [True]

    play(story)


def test_a_notified_waiter_goes_on_and_has_its_lock_again(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")
        changed = threads.condition(lock, "changed")
        items: list[int] = []
        got: list[tuple[int, bool]] = []

        def wait() -> None:
            with lock:
                while not items:
                    changed.wait()
                got.append((items.pop(), lock.held()))

        waiter = threads.spawn("waiter", wait)
        threads.sleep(0.01)
        with lock:
            items.append(7)
            changed.notify()
        assert waiter.join(10)
        assert got == [(7, True)]

    play(story)


def test_notify_wakes_as_many_as_it_says(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")
        changed = threads.condition(lock, "changed")
        waiting = [0]
        awake: list[str] = []

        def wait() -> None:
            with lock:
                waiting[0] += 1
                if changed.wait(10):
                    awake.append(threads.current())

        waiters = [threads.spawn(f"waiter {n}", wait) for n in range(4)]
        while waiting[0] < 4:
            threads.sleep(0.001)
        with lock:
            changed.notify(1)
        with lock:
            changed.notify(2)
        threads.sleep(0.05)
        assert len(awake) == 3
        with lock:
            changed.notify_all()
        assert all(waiter.join(10) for waiter in waiters)
        assert sorted(awake) == [f"waiter {n}" for n in range(4)]

    play(story)


def test_a_wait_ends_with_its_time_limit(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")
        changed = threads.condition(lock, "changed")
        started = threads.now()
        with lock:
            assert not changed.wait(0.02)
            assert lock.held()
            assert not changed.wait(0)
        assert threads.now() - started >= 0.019

    play(story)


def test_join_waits_and_gives_up(play: Play) -> None:
    def story(threads: Threads) -> None:
        lock = threads.lock("lock")

        def pass_through() -> None:
            with lock:
                pass

        with lock:
            other = threads.spawn("other", pass_through)
            assert not other.join(0.01)
            assert not other.join(0)
            assert other.alive()
        assert other.join()
        assert other.join(0)
        assert not other.alive()
        assert other.name == "other"

    play(story)


def test_sleepers_wake_in_the_order_of_their_times(play: Play) -> None:
    def story(threads: Threads) -> None:
        order: list[float] = []

        def sleep(seconds: float) -> None:
            threads.sleep(seconds)
            order.append(seconds)

        sleepers = [threads.spawn(f"s{n}", lambda n=n: sleep(n / 20)) for n in (3, 1, 2, 0)]  # type: ignore[misc]  # a default binds the loop variable
        assert all(sleeper.join(10) for sleeper in sleepers)
        assert order == [0.0, 0.05, 0.1, 0.15]

    play(story)


def test_a_condition_needs_its_lock(play: Play) -> None:
    def story(threads: Threads) -> None:
        changed = threads.condition(threads.lock("lock"), "changed")
        for use in (changed.wait, changed.notify, changed.notify_all):
            with pytest.raises(RuntimeError):
                use()

    play(story)


def test_releasing_a_lock_nobody_holds_is_an_error(play: Play) -> None:
    def story(threads: Threads) -> None:
        with pytest.raises(RuntimeError):
            threads.lock("lock").release()

    play(story)


def test_a_condition_takes_only_locks_of_its_own_kind(play: Play) -> None:
    def story(threads: Threads) -> None:
        foreign = threads.lock("x") if not isinstance(threads, NativeThreads) else None
        other = NativeThreads()
        if foreign is None:
            engine = Engine(Rules())
            engine.run(lambda: None)
            foreign = ControlledThreads(engine).lock("x")
            engine.abandon()
            other = threads  # type: ignore[assignment]  # native, as asked above
        with pytest.raises(TypeError, match="another implementation"):
            other.condition(foreign, "changed")

    play(story)


def test_threads_know_their_names(play: Play) -> None:
    def story(threads: Threads) -> None:
        names: list[str] = [threads.current()]
        assert threads.spawn("load 0", lambda: names.append(threads.current())).join(10)
        assert names == ["main", "load 0"]

    play(story)
