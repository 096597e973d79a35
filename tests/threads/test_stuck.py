"""A program that stands still: deadlock, lost wake-up and wait without end are told apart, with names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_rules import Rules
from migemu.threads.controlled_stuck import Stuck, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable


def stuck(build: Callable[[ControlledThreads], object], script: list[int], **rules: object) -> Stuck:
    engine = Engine(Rules(**rules))  # type: ignore[arg-type]  # the tests know their rules
    threads = ControlledThreads(engine)
    engine.run(lambda: build(threads), script)
    assert engine.ended in {"stuck", "steps", "time"}
    told = diagnose(engine)
    engine.abandon()
    return told


def crossed_locks(threads: ControlledThreads) -> None:
    mutex, bql = threads.lock("load_bufs_mutex"), threads.lock("BQL")

    def loader() -> None:
        with mutex, bql:
            pass

    def cleanup() -> None:
        with bql, mutex:
            pass

    def bystander() -> None:
        with bql:
            pass

    threads.spawn("loader", loader)
    threads.spawn("cleanup", cleanup)
    threads.spawn("bystander", bystander)


def test_a_ring_of_locks_is_a_deadlock_and_names_holders() -> None:
    told = stuck(crossed_locks, [0, 0, 1])
    assert told.kind == "deadlock"
    assert "loader waits for BQL, held by cleanup" in told.summary
    assert "cleanup waits for load_bufs_mutex, held by loader" in told.summary
    assert "bystander" not in told.summary
    assert "bystander waits for BQL, held by cleanup" in map(str, told.waits)


def test_taking_a_lock_twice_is_a_ring_of_one() -> None:
    def build(threads: ControlledThreads) -> None:
        bql = threads.lock("BQL")

        def work() -> None:
            with bql, bql:
                pass

        threads.spawn("incoming", work)

    assert stuck(build, []).summary == "deadlock: incoming waits for BQL, held by incoming"


def test_a_join_can_be_part_of_a_ring() -> None:
    def build(threads: ControlledThreads) -> None:
        bql = threads.lock("BQL")

        def cleanup() -> None:
            with bql:
                threads.spawn("loader", loader).join()

        def loader() -> None:
            with bql:
                pass

        threads.spawn("cleanup", cleanup)

    told = stuck(build, [])
    assert told.kind == "deadlock"
    assert "cleanup waits for the end of loader" in told.summary


def announcement(threads: ControlledThreads, *, tell: bool, check_locked: bool) -> None:
    lock = threads.lock("lock")
    told = threads.condition(lock, "told")
    state = {"ready": False}

    def wait() -> None:
        if check_locked:
            with lock:
                while not state["ready"]:
                    told.wait()
        elif not state["ready"]:
            threads.turn()
            with lock:
                told.wait()

    def announce() -> None:
        with lock:
            state["ready"] = True
            if tell:
                told.notify_all()

    threads.spawn("waiter", wait)
    threads.spawn("announcer", announce)


def test_a_notification_before_the_wait_is_a_lost_wake_up() -> None:
    told = stuck(lambda threads: announcement(threads, tell=True, check_locked=False), [0, 1])
    assert told.kind == "lost-wakeup"
    assert "waiter waits on told (last notified by announcer, before this wait)" in told.summary


def test_a_missing_notification_is_said_to_be_one() -> None:
    told = stuck(lambda threads: announcement(threads, tell=False, check_locked=True), [])
    assert told.kind == "wait-without-end"
    assert "woken now waiter would go on: a notification may be missing" in told.summary


def test_a_waiter_for_what_never_happens_is_a_wait_without_end() -> None:
    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")
        item = threads.condition(lock, "item there")

        def wait() -> None:
            with lock:
                while True:
                    item.wait()

        def other() -> None:
            with lock:
                item.notify_all()

        threads.spawn("waiter", wait)
        threads.spawn("other", other)

    told = stuck(build, [])
    assert told.kind == "wait-without-end"
    assert "nobody is left to end this" in told.summary
    assert "would go on" not in told.summary


def test_a_lock_that_its_holder_took_to_its_end_is_named() -> None:
    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("BQL")

        def take() -> None:
            lock.acquire()

        threads.spawn("careless", take)
        threads.spawn("other", take)

    told = stuck(build, [])
    assert told.kind == "wait-without-end"
    assert "other waits for BQL, held by careless (which has ended)" in told.summary


def ticking(threads: ControlledThreads) -> None:
    lock = threads.lock("lock")
    item = threads.condition(lock, "item there")

    def wait() -> None:
        with lock:
            while True:
                item.wait()

    def tick() -> None:
        while True:
            threads.sleep(1)

    threads.spawn("waiter", wait)
    threads.spawn("heartbeat", tick)


def test_timers_that_run_for_ever_do_not_hide_a_waiter() -> None:
    for rules in ({"max_steps": 100}, {"max_seconds": 30.0}):
        told = stuck(ticking, [], **rules)
        assert told.kind == "wait-without-end"
        assert "this still goes on: heartbeat while waiter waits on item there" in told.summary


def test_a_spinning_thread_is_cut_off() -> None:
    def build(threads: ControlledThreads) -> None:
        def spin() -> None:
            while True:
                threads.sleep(0)

        threads.spawn("spinner", spin)

    assert "after 51 steps this still goes on: spinner" in stuck(build, [], max_steps=50).summary


def test_the_order_of_a_diagnosis_does_not_change_what_it_finds() -> None:
    """Probing a waiter that waits again leaves it as it was for the ones that are probed after it."""

    def build(threads: ControlledThreads) -> None:
        lock = threads.lock("lock")
        bell = threads.condition(lock, "bell")
        ready: list[str] = []

        def wait() -> None:
            with lock:
                while threads.current() not in ready:
                    bell.wait()

        def ring() -> None:
            with lock:
                ready.append("second")
                bell.notify()

        threads.spawn("first", wait)
        threads.spawn("second", wait)
        threads.spawn("ringer", ring)

    told = stuck(build, [])
    assert told.kind == "lost-wakeup"
    assert "second waits on bell" in told.summary
    assert [wait.thread for wait in told.waits] == ["first", "second"]
