"""A controlled run: decision 0 is the native order, any other number another order, and time is virtual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import InvariantError, ScheduleError
from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_rules import EARLY_TIMEOUT, SPURIOUS_WAKEUP, Rules

if TYPE_CHECKING:
    from collections.abc import Callable


def run(
    build: Callable[[ControlledThreads], object], script: list[int] | None = None, rules: Rules | None = None
) -> Engine:
    """Run a program on the decisions `script`; the engine tells how it ended."""
    engine = Engine(rules or Rules())
    threads = ControlledThreads(engine)
    engine.run(lambda: build(threads), script or [])
    engine.abandon()
    return engine


def test_the_native_order_lets_a_thread_run_until_it_blocks() -> None:
    said: list[str] = []

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")

        def talk(name: str) -> None:
            for word in "ab":
                with lock:
                    said.append(f"{name}{word}")

        for name in ("1", "2"):
            threads.spawn(name, lambda name=name: talk(name))  # type: ignore[misc]  # a default binds the loop variable

    assert run(build).ended == "done"
    assert said == ["1a", "1b", "2a", "2b"]
    said.clear()
    run(build, [0, 1, 0, 1])
    assert said == ["2a", "1a", "1b", "2b"]


def test_a_preempted_thread_stands_back_behind_the_others() -> None:
    said: list[str] = []

    def build(threads: ControlledThreads) -> None:
        def speak() -> None:
            threads.turn()
            said.append(threads.current())

        for name in "abc":
            threads.spawn(name, speak)

    run(build, [0, 1])
    assert said == ["b", "c", "a"]


def test_which_waiter_wakes_is_a_decision() -> None:
    woken: list[str] = []

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")
        bell = threads.condition(lock, "bell")

        def wait() -> None:
            with lock:
                bell.wait()
                woken.append(threads.current())

        def ring() -> None:
            for _ in range(2):
                with lock:
                    bell.notify()

        for name in ("first", "second"):
            threads.spawn(name, wait)
        threads.spawn("ringer", ring)

    run(build)
    assert woken == ["first", "second"]
    woken.clear()
    run(build, [0, 0, 0, 0, 1])
    assert woken == ["second", "first"]


def test_time_moves_only_when_nobody_can_run() -> None:
    times: list[tuple[str, float]] = []

    def build(threads: ControlledThreads) -> None:
        def sleep(name: str, seconds: float) -> None:
            threads.sleep(seconds)
            times.append((name, threads.now()))

        def work() -> None:
            for _ in range(1000):
                threads.turn()
            times.append(("worker", threads.now()))

        threads.spawn("long", lambda: sleep("long", 3600))
        threads.spawn("short", lambda: sleep("short", 0.5))
        threads.spawn("worker", work)

    engine = run(build)
    assert times == [("worker", 0.0), ("short", 0.5), ("long", 3600.0)]
    assert engine.now == 3600.0


def test_an_early_timeout_is_a_decision_where_the_rules_allow_it() -> None:
    results: list[tuple[bool, float]] = []

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")
        bell = threads.condition(lock, "bell")

        def wait() -> None:
            with lock:
                results.append((bell.wait(5), threads.now()))

        def ring() -> None:
            with lock:
                bell.notify()

        threads.spawn("waiter", wait)
        threads.spawn("ringer", ring)

    early = Rules(faults=frozenset({EARLY_TIMEOUT}))
    run(build, [0, 0, 1, 1], early)
    run(build, [0, 0, 0, 0], early)
    run(build, [0, 0, 0, 0])
    assert results == [(False, 5.0), (True, 0.0), (True, 0.0)]


def test_a_spurious_wake_up_is_a_decision_where_the_rules_allow_it() -> None:
    woken: list[str] = []

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")
        bell = threads.condition(lock, "bell")

        def wait() -> None:
            with lock:
                woken.append(f"woken {bell.wait()}")

        threads.spawn("waiter", wait)

    spurious = Rules(faults=frozenset({SPURIOUS_WAKEUP}))
    assert run(build, [1], spurious).ended == "done"
    assert woken == ["woken True"]
    assert run(build, [0], spurious).ended == "stuck"
    assert run(build, [1]).ended == "stuck"


def test_faults_are_decided_only_as_often_as_the_budget_allows() -> None:
    chosen: list[int] = []

    def build(threads: ControlledThreads) -> None:
        def meet() -> None:
            chosen.extend(threads.choose("write-fails", 3, "0000:00:01.0") for _ in range(3))
            chosen.append(threads.choose("other", 3))

        threads.spawn("loader", meet)

    fails = frozenset({"write-fails"})
    run(build, [0, 2, 1], Rules(faults=fails, fault_budget=1))
    assert chosen == [0, 2, 0, 0]
    chosen.clear()
    run(build, [1, 2, 1], Rules(faults=fails, fault_budget=None))
    assert chosen == [1, 2, 1, 0]


def test_points_and_releases_are_scheduling_points_only_where_the_rules_say_so() -> None:
    said: list[str] = []

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")

        def first() -> None:
            with lock:
                said.append("first in")
            threads.point("vfio_load_setup", device="0")
            said.append("first out")

        threads.spawn("first", first)
        threads.spawn("second", lambda: said.append("second"))

    for coarse in (Rules(), Rules(points=frozenset({"other"}))):
        run(build, [0, 0, 1], rules=coarse)
    assert said == ["first in", "first out", "second"] * 2
    for fine in (Rules(points=True), Rules(points=frozenset({"vfio_load_setup"})), Rules(releases=True)):
        said.clear()
        run(build, [0, 0, 1], rules=fine)
        assert said == ["first in", "second", "first out"]


def test_points_reach_the_listeners_with_virtual_time_and_thread() -> None:
    heard: list[tuple[str, float, str, dict[str, object]]] = []

    def build(threads: ControlledThreads) -> None:
        def work() -> None:
            threads.sleep(1.5)
            threads.point("config_ready", device="0000:00:01.0")

        threads.listen(lambda *event: heard.append(event))
        threads.spawn("load 0", work)

    run(build)
    assert heard == [("config_ready", 1.5, "load 0", {"device": "0000:00:01.0"})]


def test_an_exception_in_a_thread_ends_the_run_with_its_cause() -> None:
    def build(threads: ControlledThreads) -> None:
        def fail() -> None:
            raise KeyError("idx 3")

        threads.spawn("load 0", fail)

    engine = run(build)
    assert engine.ended == "failure"
    assert engine.failure is not None
    kind, task, error = engine.failure
    assert (kind, task and task.name) == ("exception", "load 0")
    assert isinstance(error, ScheduleError)
    assert "load 0 ended by an exception: KeyError: 'idx 3'" in str(error)
    assert isinstance(error.__cause__, KeyError)


def test_an_invariant_is_asked_after_each_step_that_touched_what_it_is_over() -> None:
    asked: list[int] = []
    value = [0]

    def build(threads: ControlledThreads) -> None:
        guard, other = threads.lock("guard"), threads.lock("other")

        def question() -> str | None:
            asked.append(value[0])
            return "it is 2" if value[0] == 2 else None

        def work() -> None:
            for lock in (other, guard, guard, guard):
                with lock:
                    value[0] += lock is guard

        threads.invariant("never-two", question, over=[guard])
        threads.spawn("worker", work)

    engine = run(build)
    assert asked == [1, 2]
    assert engine.failure is not None
    assert isinstance(engine.failure[2], InvariantError)
    assert engine.failure[2].invariant == "never-two"


def test_an_invariant_sees_what_a_holder_of_its_lock_does_while_it_takes_another() -> None:
    asked: list[str] = []
    value = ["start"]

    def build(threads: ControlledThreads) -> None:
        guard, inner = threads.lock("guard"), threads.lock("inner")

        def work() -> None:
            with guard:
                with inner:
                    value[0] = "inside"
                with inner:
                    value[0] = "end"

        threads.invariant("watch", lambda: asked.append(value[0]), over=[guard])
        threads.spawn("worker", work)

    run(build)
    assert asked == ["start", "inside", "end"]


def test_an_abandoned_run_unwinds_its_threads_and_leaves_the_engine_usable() -> None:
    ends: list[str] = []

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")
        never = threads.condition(lock, "never")

        def wait() -> None:
            try:
                with lock:
                    never.wait()
            except Exception:  # noqa: BLE001  the program must not be able to catch the end of its run
                ends.append("caught")
            finally:
                ends.append("unwound")
                with lock:
                    pass

        for number in range(3):
            threads.spawn(f"waiter {number}", wait)

    engine = run(build)
    assert engine.ended == "stuck"
    assert ends == ["unwound"] * 3
    threads = ControlledThreads(engine)
    engine.run(lambda: threads.spawn("next", lambda: ends.append("ran")))
    engine.abandon()
    assert ends[-1] == "ran"
    assert engine.ended == "done"


def test_greenlets_are_used_again() -> None:
    engine = Engine(Rules())
    for _ in range(50):
        threads = ControlledThreads(engine)
        engine.run(lambda: [threads.spawn(f"t{n}", threads.turn) for n in range(4)])  # noqa: B023  run at once
        engine.abandon()
    assert len(engine._pool) <= 4


def test_what_builds_a_system_must_not_wait() -> None:
    def build(threads: ControlledThreads) -> None:
        with pytest.raises(ScheduleError, match="must not wait"):
            threads.sleep(1)

    assert run(build).ended == "done"


def test_a_schedule_of_another_program_diverges_instead_of_doing_something_else() -> None:
    def build(threads: ControlledThreads) -> None:
        for number in range(2):
            threads.spawn(f"t{number}", threads.turn)

    engine = run(build, [0, 5])
    assert engine.failure is not None
    assert engine.failure[0] == "divergence"
    assert "only 2 ways to go on" in str(engine.failure[2])


def test_thread_and_object_numbers_do_not_depend_on_the_schedule() -> None:
    engine = Engine(Rules())
    seen: list[dict[str, tuple[int, int]]] = []

    def build(threads: ControlledThreads) -> None:
        made: dict[str, tuple[int, int]] = {}

        def parent(name: str) -> None:
            threads.turn()
            child = threads.spawn("child", lambda: None)
            lock = threads.lock("same name")
            made[name] = (child.tid, lock.bit)

        for name in ("a", "b"):
            threads.spawn(name, lambda name=name: parent(name))  # type: ignore[misc]  # a default binds the loop variable
        seen.append(made)

    for script in ([], [1], [0, 1], [0, 1, 1]):
        threads = ControlledThreads(engine)
        engine.run(lambda: build(threads), script)  # noqa: B023  run at once
        engine.abandon()
    assert len(seen) == 4
    assert all(made == seen[0] for made in seen)
    assert seen[0]["a"] != seen[0]["b"]
