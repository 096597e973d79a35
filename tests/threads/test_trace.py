"""A trace: every step with what it did, every decision with what else there was, in the program's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_rules import Rules
from migemu.threads.controlled_trace import Narrator, Recorder, TracedThreads

if TYPE_CHECKING:
    from migemu.threads.controlled import ControlledThreads


def story(threads: ControlledThreads) -> None:
    mutex = threads.lock("load_bufs_mutex")
    ready = threads.condition(mutex, "buffer ready")
    bql = threads.lock("BQL")

    def load() -> None:
        with mutex:
            ready.wait()
        threads.point("vfio_load_state_device_buffer_load_start", device="0000:00:01.0", idx=0)

    def receive() -> None:
        threads.turn()
        with mutex:
            ready.notify()
        threads.sleep(0.5)
        with mutex:
            ready.notify_all()
        with mutex:
            ready.notify_all()

    def clean_up() -> None:
        loaders[0].join()
        threads.touch("state")
        if not bql.acquire(timeout=1):
            threads.point("gave up")
        threads.spawn("last", threads.turn)
        if loaders[1].alive():
            loaders[1].join()
        threads.choose("cancel", 3, "the migration")

    loaders = [threads.spawn(f"load {number}", load) for number in range(2)]
    threads.spawn("recv 0", receive)
    bql.acquire()
    threads.spawn("cleanup", clean_up)


def trace(decisions: list[int]) -> Recorder:
    engine = Engine(Rules(faults=frozenset({"cancel"})))
    recorder = Recorder(engine)
    engine.recorder = recorder
    threads = TracedThreads(engine, recorder)
    engine.run(lambda: story(threads), chooser=Narrator(recorder, engine, decisions))
    engine.abandon()
    assert engine.ended == "done"
    return recorder


def test_steps_say_what_was_done_and_when() -> None:
    recorder = trace([])
    told = [f"{step.thread}: {step.did} {list(step.notes)}" for step in recorder.steps]
    start = "vfio_load_state_device_buffer_load_start device=0000:00:01.0 idx=0"
    assert told == [
        "load 0: starts []",
        "load 0: takes load_bufs_mutex ['waits on buffer ready']",
        "load 1: starts []",
        "load 1: takes load_bufs_mutex ['waits on buffer ready']",
        "recv 0: starts []",
        "recv 0: takes its turn []",
        "recv 0: takes load_bufs_mutex ['wakes load 0 from buffer ready']",
        "cleanup: starts []",
        f"load 0: comes back from waiting on buffer ready ['{start}']",
        "cleanup: joins load 0 []",
        "cleanup: changes state []",
        "cleanup: takes BQL within 1 s []",
        "recv 0: goes on after sleeping 0.5 s []",
        "recv 0: takes load_bufs_mutex ['wakes load 1 from buffer ready']",
        "recv 0: takes load_bufs_mutex ['notifies buffer ready, on which nobody waits']",
        f"load 1: comes back from waiting on buffer ready ['{start}']",
        "cleanup: takes BQL within 1 s ['does not get BQL', 'gave up', 'spawns last']",
        "cleanup: goes on after spawning last []",
        "cleanup: looks whether load 1 is alive []",
        "last: starts []",
        "last: takes its turn []",
    ]
    assert [step.number for step in recorder.steps] == list(range(len(recorder.steps)))
    assert {step.now for step in recorder.steps} == {0.0, 0.5, 1.0}


def test_decisions_say_what_else_there_was() -> None:
    decisions = trace([]).decisions
    first = decisions[0]
    assert (first.step, first.kind, first.choice, first.about) == (0, "thread", 0, "")
    assert first.menu == ("load 0 starts", "load 1 starts", "recv 0 starts", "cleanup starts")
    wake = next(decision for decision in decisions if decision.kind == "wake-up")
    assert wake.menu == (
        "recv 0 wakes load 0 from buffer ready",
        "recv 0 wakes load 1 from buffer ready",
    )
    fault = next(decision for decision in decisions if decision.kind == "cancel")
    assert fault.menu == (
        "no cancel",
        "cleanup meets cancel the migration (1 of 2)",
        "cleanup meets cancel the migration (2 of 2)",
    )


def test_another_waiter_is_woken_where_the_decision_says_so() -> None:
    decisions = trace([]).decisions
    index = next(decision.index for decision in decisions if decision.kind == "wake-up")
    steps = trace([0] * index + [1]).steps
    assert any("wakes load 1 from buffer ready" in note for step in steps[:7] for note in step.notes)
