"""Designs in which a device's own thread loads its config: when it may, and whom it keeps waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handoff.harness import (
    BARRIER,
    CONFIG_END,
    CONFIG_START,
    GIC,
    GIC_LOADED,
    INCOMING,
    LOAD_A,
    LOAD_B,
    STARTED,
    STREAM,
    A,
    B,
)
from migemu.wire import records

if TYPE_CHECKING:
    from collections.abc import Callable

    from handoff.harness import Destination

    Make = Callable[..., Destination]

THREAD_END = "vfio_load_bufs_thread_end"
SERIAL = ["ack", "bql-yield", "loadvm-thread", "load-thread", "load-ready"]


# load-thread


def test_load_thread_loads_config_as_soon_as_the_device_is_complete(destination: Make) -> None:
    """Long before the stream's end, while the incoming thread waits for the network."""
    one = destination("load-thread")
    one.switchover()
    one.whole(B, channel=1)
    one.scene.until_told(CONFIG_END, device=B)
    assert one.config_start(B).thread == LOAD_B
    one.whole(A, channel=0)
    one.rest()
    one.completes()
    assert one.place(CONFIG_END, device=B) < one.place(GIC_LOADED)


@pytest.mark.parametrize("design", SERIAL)
def test_config_loads_are_serial_under_the_bql(destination: Make, design: str) -> None:
    one = destination(design)
    held = one.scene.gate(CONFIG_START, device=A)
    one.switchover()
    one.whole(A, channel=0)
    one.rest()
    one.scene.until_reached(held)
    one.whole(B, channel=1)
    one.scene.until_waits(LOAD_B, "BQL")
    assert not one.scene.told(CONFIG_START, device=B)
    held.open()
    one.completes()
    assert one.place(CONFIG_END, device=A) < one.place(CONFIG_START, device=B)


def test_the_core_waits_for_the_pool_with_the_bql_dropped(destination: Make) -> None:
    one = destination("load-thread")
    one.switchover()
    one.whole(B, channel=1)
    one.rest()
    one.scene.until_waits(INCOMING, "load threads ended")
    assert one.scene.holder("BQL") is None
    one.whole(A, channel=0)
    one.completes()


# reentrant


def test_reentrant_config_loads_overlap(destination: Make) -> None:
    one = destination("reentrant")
    held = one.scene.gate(CONFIG_START, device=A)
    one.switchover()
    one.whole(A, channel=0)
    one.scene.until_reached(held)
    one.whole(B, channel=1)
    one.scene.until_told(CONFIG_END, device=B)
    assert not one.scene.told(CONFIG_END, device=A)
    held.open()
    one.rest()
    one.completes()


# load-ready


def test_load_ready_never_loads_before_the_mark(destination: Make) -> None:
    one = destination("load-ready")
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.scene.until_waits(LOAD_A, f"load_bufs_iter_done {A}")
    one.scene.until_waits(LOAD_B, f"load_bufs_iter_done {B}")
    one.gic()
    one.ready_full(A)
    one.scene.until_told(CONFIG_END, device=A)
    one.scene.until_waits(INCOMING, STREAM)
    assert not one.scene.told(CONFIG_START, device=B)
    one.ready_full(B)
    one.eof()
    one.completes()
    assert one.config_start(B).thread == LOAD_B


def test_load_ready_waits_for_the_data_behind_the_mark_too(destination: Make) -> None:
    """The mark may overtake the data; config still comes last (B1)."""
    one = destination("load-ready")
    one.switchover()
    one.rest()
    one.scene.until_waits(INCOMING, "load threads ended")
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.completes()


def test_the_mark_comes_once(destination: Make) -> None:
    one = destination("load-ready")
    one.switchover()
    one.ready_full(A)
    one.ready_full(A)
    assert "CONFIG_LOAD_READY came twice" in str(one.fails())


def test_the_mark_belongs_to_load_ready_alone(destination: Make) -> None:
    one = destination("load-thread")
    one.switchover()
    one.ready_full(A)
    assert "unexpected CONFIG_LOAD_READY" in str(one.fails())


# ack


def test_ack_lets_the_core_go_on_while_a_thread_still_tidies_up(destination: Make) -> None:
    """What the core waits for is the acknowledgement, not the thread's end."""
    one = destination("ack")
    tidying = one.scene.gate(THREAD_END, device=B)
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.rest()
    one.completes()
    assert tidying.reached
    assert not tidying.opened.is_set()


def test_load_thread_waits_for_the_threads_themselves(destination: Make) -> None:
    one = destination("load-thread")
    tidying = one.scene.gate(THREAD_END, device=B)
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.rest()
    one.scene.until_reached(tidying)
    one.scene.until_waits(INCOMING, "load threads ended")
    assert not one.core.running
    tidying.open()
    one.completes()


def test_one_ack_is_not_enough(destination: Make) -> None:
    one = destination("ack")
    one.switchover()
    one.whole(B, channel=1)
    one.rest()
    one.scene.until_told("load_complete_ack", device=B)
    one.scene.until_waits(INCOMING, "load complete posted")
    assert one.scene.holder("BQL") is None
    one.whole(A, channel=0)
    one.completes()
    assert one.place("load_complete_ack", device=A) < one.place("vm_state", **STARTED)


# bql-yield


def test_bql_yield_waits_in_the_section_while_others_take_the_lock(destination: Make) -> None:
    one = destination("bql-yield")
    one.switchover()
    one.full(A)
    one.gic()
    one.scene.until_waits(INCOMING, f"loaded {A} posted")
    one.whole(B, channel=1)
    one.scene.until_told(CONFIG_END, device=B)
    assert one.config_start(B).bql == LOAD_B
    assert not one.scene.told(GIC_LOADED), "what stands behind the section waits as well"
    one.whole(A, channel=0)
    one.scene.until_told(GIC_LOADED)
    one.full(B)
    one.eof()
    one.completes()


# loadvm-thread


def test_loadvm_thread_leaves_the_bql_free_while_the_stream_stalls_at_a_barrier(destination: Make) -> None:
    one = destination("loadvm-thread")
    one.switchover()
    one.barrier_word()
    one.scene.until_waits(INCOMING, BARRIER)
    assert one.scene.holder("BQL") is None
    one.whole(B, channel=1)
    one.scene.until_told(CONFIG_END, device=B)
    one.sync(0)
    one.sync(1)
    one.whole(A, channel=0)
    one.rest()
    one.completes()


def test_loadvm_thread_drops_it_at_the_barrier_inside_a_start_section_too(destination: Make) -> None:
    """RAM's setup ends with a barrier."""
    one = destination("loadvm-thread")
    one.feed(records.SectionStart(2, "ram", 0, 4), records.RamFlush(records.Section("ram")))
    one.scene.until_waits(INCOMING, BARRIER)
    assert one.scene.holder("BQL") is None


def test_the_coroutine_keeps_the_bql_there(destination: Make) -> None:
    """QEMU 10.2 as it is: a config that is ready waits for the barrier (D6)."""
    one = destination("load-thread")
    one.switchover()
    one.barrier_word()
    one.scene.until_waits(INCOMING, BARRIER)
    one.whole(B, channel=1)
    one.scene.until_waits(LOAD_B, "BQL")
    assert one.scene.holder("BQL") == INCOMING
    one.sync(0)
    one.sync(1)
    one.whole(A, channel=0)
    one.rest()
    one.completes()


@pytest.mark.parametrize(("design", "holder"), [("loadvm-thread", None), ("load-thread", INCOMING)])
def test_loadvm_thread_acts_on_commands_without_the_bql(
    destination: Make, design: str, holder: str | None
) -> None:
    one = destination(design)
    one.switchover()
    one.scene.until_told("loadvm_process_command")
    (command,) = one.scene.told("loadvm_process_command")
    assert command.bql == holder


def test_loadvm_thread_takes_the_bql_for_full_sections_from_header_to_footer(destination: Make) -> None:
    """The cover's known risk: a network that stalls inside one holds the BQL in a blocking read."""
    one = destination("loadvm-thread")
    one.switchover()
    one.feed(records.SectionFull(99, GIC, 0, 1))
    one.scene.until(
        lambda: one.scene.holder("BQL") == INCOMING and one.scene.waiting.get(INCOMING) == STREAM,
        "the stream stalled inside a FULL section, the BQL held",
    )
    one.whole(B, channel=1)
    one.scene.until_waits(LOAD_B, "BQL")
    one.feed(records.Opaque(records.Section(GIC), b"gic"), records.Footer(99))
    one.scene.until_told(CONFIG_END, device=B)
    (loaded,) = one.scene.told(GIC_LOADED)
    assert loaded.bql == INCOMING


def test_loadvm_thread_starts_the_vm_under_the_bql(destination: Make) -> None:
    """The bottom half runs in the main thread."""
    one = destination("loadvm-thread")
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.rest()
    one.completes()
    (started,) = one.scene.told("vm_state", **STARTED)
    assert started.bql == INCOMING


def test_loadvm_thread_gives_the_bql_back_when_a_section_fails(destination: Make) -> None:
    one = destination("loadvm-thread")
    one.switchover()
    one.ready_full(A)
    assert "unexpected CONFIG_LOAD_READY" in str(one.fails())
    assert one.scene.holder("BQL") is None
