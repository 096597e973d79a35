"""Aborts, the BQL, queues and pools: every wait ends, and somebody is told why."""

from __future__ import annotations

import threading

import pytest

from migemu.errors import CancelledMigrationError, DeviceError, MigemuError, PeerTimeoutError
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Bql, Patience, Pool, Queue
from migemu.threads.witness import WitnessedThreads

LONG = 30.0


def told() -> tuple[NativeThreads, list[tuple[str, dict[str, object]]]]:
    """Threads and what was said at their points."""
    said: list[tuple[str, dict[str, object]]] = []
    return NativeThreads(lambda event, _t, _thread, fields: said.append((event, fields))), said


def test_the_first_error_ends_every_wait_and_later_ones_change_nothing() -> None:
    threads, said = told()
    abort = Abort(threads)
    queue: Queue[str] = Queue(threads, abort, "the main channel", limit=4)
    met: list[MigemuError] = []

    def wait() -> None:
        try:
            queue.get(Patience(threads, LONG))
        except MigemuError as error:
            met.append(error)

    waiter = threads.spawn("waiter", wait)
    first = CancelledMigrationError("enough")
    assert abort.set(first)
    assert not abort.set(DeviceError("too late"))
    assert waiter.join(LONG)
    assert met == [first]
    assert [event for event, _ in said] == ["error"]


def test_a_wait_names_what_it_waited_for_when_nothing_moved() -> None:
    threads, _ = told()
    queue: Queue[str] = Queue(threads, Abort(threads), "the main channel", limit=4)
    with pytest.raises(
        PeerTimeoutError, match=r"nothing moved for 0\.01 s while waiting for the main channel"
    ):
        queue.get(Patience(threads, 0.01))


def test_progress_anywhere_keeps_a_wait_going() -> None:
    threads, _ = told()
    patience = Patience(threads, 1.0)
    deadline = patience.deadline()
    before = deadline()
    while threads.now() <= patience.last:
        pass
    patience.touch()
    assert deadline() > before


def test_a_queue_asks_its_producer_to_pause_and_to_go_on_at_half() -> None:
    threads, _ = told()
    queue: Queue[int] = Queue(threads, Abort(threads), "records", limit=4)
    room: list[int] = []
    queue.on_room = lambda: room.append(1)
    assert [queue.put(number) for number in range(4)] == [False, False, False, True]
    assert queue.poll() == 0
    assert room == []
    assert queue.get(Patience(threads, LONG)) == 1
    assert room == [1]
    assert [queue.poll(), queue.poll(), queue.poll()] == [2, 3, None]
    assert room == [1]


def test_the_bql_keeps_an_account_of_who_held_it() -> None:
    threads, said = told()
    bql = Bql(threads)
    with bql:
        assert bql.held()
        threads.sleep(0.002)
        with bql.released():
            assert not bql.held()
        assert bql.held()
    assert not bql.held()
    name = threads.current()
    assert bql.held_seconds[name] >= 0.002
    assert ("bql_held", name) in [(event, fields["holder"]) for event, fields in said]


def test_a_pool_waits_for_all_and_one_failure_ends_the_wait() -> None:
    threads, _ = told()
    abort = Abort(threads)
    pool = Pool(threads, abort, "load threads")
    gate = threading.Event()

    def slow() -> None:
        gate.wait(LONG)

    pool.submit("slow", slow)

    def fail() -> None:
        raise DeviceError("write failed", device="vf0")

    pool.submit("failing", fail)
    with pytest.raises(DeviceError, match="write failed"):
        pool.wait(Patience(threads, LONG))
    assert not pool.join(0.01)
    gate.set()
    assert pool.join(LONG)


def test_an_unexpected_exception_in_a_thread_is_an_error_and_not_silence() -> None:
    threads, _ = told()
    abort = Abort(threads)
    pool = Pool(threads, abort, "load threads")
    empty: dict[int, None] = {}
    pool.submit("odd", lambda: empty[1])
    assert pool.join(LONG)
    assert abort.error is not None
    assert "odd failed: KeyError" in str(abort.error)


def test_the_witness_sees_the_wrong_order_without_a_deadlock() -> None:
    threads, said = told()
    bql = Bql(threads)
    watched = WitnessedThreads(threads, bql.lock)
    mutex = watched.lock("load_bufs_mutex vf0")
    condition = watched.condition(mutex, "ready")
    with mutex, bql:
        condition.notify_all()
    assert watched.violations == 0
    with bql, mutex:
        pass
    assert watched.violations == 1
    assert said[-1][1]["name"] == "lock-order"
    assert "load_bufs_mutex vf0 with the BQL held" in str(said[-1][1]["detail"])
