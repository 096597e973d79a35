"""Designs in which the incoming thread loads the config: in which order, after what, holding what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handoff.harness import (
    CONFIG_END,
    CONFIG_START,
    GIC_LOADED,
    INCOMING,
    LOAD_A,
    LOAD_END,
    LOAD_START,
    STREAM,
    A,
    B,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from handoff.harness import Destination

    Make = Callable[..., Destination]


def b_is_ready_first(one: Destination) -> None:
    """The whole stream and all of B are here; A lacks its second buffer."""
    one.switchover()
    one.data(0, A, 0)
    one.last(0, A)
    one.whole(B, channel=1)
    one.rest()


# main-channel


def test_main_channel_writes_each_block_where_it_meets_it(destination: Make) -> None:
    """One device after the other, the running one's data first, all on one thread under the BQL."""
    one = destination("main-channel")
    one.precopy(A, b"running")
    one.switchover()
    one.rest()
    one.completes()
    assert one.order(LOAD_END) == [A, A, B, B]
    assert {told.bql for told in one.scene.told(LOAD_START)} == {INCOMING}
    assert one.core.machine.slots[A].device.data_bytes == len(b"running") + len(b"zero") + len(b"one")
    assert one.order(CONFIG_END) == [A, B]


def test_main_channel_tells_stop_copy_data_from_pre_copy_data_without_a_command(destination: Make) -> None:
    """A machine type before 10.0 has no SWITCHOVER_START: the END section says it."""
    one = destination("main-channel", machine="9.2")
    one.precopy(A, b"running")
    one.rest()
    one.completes()
    assert one.order(LOAD_END) == [A, A, B, B]


def test_main_channel_counts_a_device_as_ready_from_the_end_of_its_data(destination: Make) -> None:
    """A waits for B's data and for the interrupt controller although its own is in."""
    one = destination("main-channel")
    one.switchover()
    one.rest()
    one.completes()
    assert one.place("config_ready", device=A) < one.place(LOAD_START, device=B)
    assert one.place(GIC_LOADED) < one.place(CONFIG_START, device=A)


def test_main_channel_refuses_device_state_on_multifd(destination: Make) -> None:
    one = destination("main-channel")
    with pytest.raises(Exception, match="main-channel sends it on the main channel"):
        one.data(0, A, 0)


# load-finish


def test_load_finish_loads_whoever_is_ready_first(destination: Make) -> None:
    one = destination("load-finish")
    b_is_ready_first(one)
    one.scene.until_told(CONFIG_END, device=B)
    assert not one.scene.told(CONFIG_START, device=A)
    one.data(0, A, 1)
    one.completes()
    assert one.order(CONFIG_END) == [B, A]


def test_load_finish_sleeps_until_a_broadcast_and_keeps_the_bql(destination: Make) -> None:
    one = destination("load-finish")
    b_is_ready_first(one)
    one.scene.until_told(CONFIG_END, device=B)
    one.scene.until_waits(INCOMING, "load_finish_ready_broadcast")
    assert one.scene.holder("BQL") == INCOMING
    assert one.scene.holder("load_finish_ready_lock") is None


def test_load_finish_polls_under_the_ready_lock(destination: Make) -> None:
    """So a device that becomes ready meanwhile waits for the poll to end; it cannot be missed (B7)."""
    one = destination("load-finish")
    held = one.scene.gate(CONFIG_START, device=B)
    b_is_ready_first(one)
    one.scene.until_reached(held)
    assert one.scene.holder("load_finish_ready_lock") == INCOMING
    one.data(0, A, 1)
    one.scene.until_waits(LOAD_A, "load_finish_ready_lock")
    held.open()
    one.completes()


def test_load_finish_begins_when_the_stream_is_in(destination: Make) -> None:
    one = destination("load-finish")
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.scene.until_told("vfio_load_bufs_thread_end", 2)
    one.scene.until_waits(INCOMING, STREAM)
    assert not one.scene.told(CONFIG_START)
    one.rest()
    one.completes()


# blocking-wait and non-iterable


@pytest.mark.parametrize("design", ["blocking-wait", "non-iterable"])
def test_section_order_decides_whoever_is_ready_first(destination: Make, design: str) -> None:
    """B, all of it in, waits idle for A: the objection that began the debate."""
    one = destination(design)
    b_is_ready_first(one)
    one.scene.until_told(LOAD_END, 2, device=B)
    sleeps = f"data in {A} posted" if design == "blocking-wait" else f"data loaded {A}"
    one.scene.until_waits(INCOMING, sleeps)
    assert not one.scene.told(CONFIG_START)
    one.data(0, A, 1)
    one.completes()
    assert one.order(CONFIG_END) == [A, B]


@pytest.mark.parametrize(("design", "holder"), [("blocking-wait", INCOMING), ("non-iterable", None)])
def test_blocking_wait_keeps_the_bql_in_its_wait(destination: Make, design: str, holder: str | None) -> None:
    one = destination(design)
    b_is_ready_first(one)
    sleeps = f"data in {A} posted" if design == "blocking-wait" else f"data loaded {A}"
    one.scene.until_waits(INCOMING, sleeps)
    assert one.scene.holder("BQL") == holder


def test_blocking_wait_overlaps_the_first_config_with_the_second_ones_data(destination: Make) -> None:
    """A's config is loaded while B still lacks a buffer: not completely serial, as Peter Xu wrote."""
    one = destination("blocking-wait")
    one.switchover()
    one.whole(A, channel=0)
    one.data(1, B, 1)
    one.rest()
    one.scene.until_told(CONFIG_END, device=A)
    one.data(1, B, 0)
    one.completes()


def test_non_iterable_holds_config_off_until_its_phase(destination: Make) -> None:
    one = destination("non-iterable")
    one.switchover()
    one.whole(A)
    one.config_full(A)
    assert "before SEND_NON_ITERABLE" in str(one.fails())


def test_a_config_on_the_main_channel_is_not_enough(destination: Make) -> None:
    """The mark says nothing about multifd data: the count does, and the device is asked too."""
    one = destination("non-iterable")
    one.switchover()
    one.data(0, A, 0)
    one.non_iterables_follow()
    one.config_full(A, count=2)
    one.scene.until_waits(INCOMING, f"data loaded {A}")
    assert not one.scene.told(CONFIG_START)


# post-load-jobs


def test_post_load_jobs_run_in_order_of_readiness_after_everything_else(destination: Make) -> None:
    one = destination("post-load-jobs")
    one.switchover()
    one.whole(B, channel=1)
    one.data(0, A, 0)
    one.last(0, A)
    one.scene.until_told("vfio_load_bufs_thread_end", device=B)
    one.scene.until_waits(INCOMING, STREAM)
    assert not one.scene.told(CONFIG_START)
    one.rest()
    one.scene.until_told(CONFIG_END, device=B)
    one.data(0, A, 1)
    one.completes()
    assert one.order(CONFIG_END) == [B, A]


def test_post_load_jobs_counts_the_jobs_that_were_registered(destination: Make) -> None:
    """One job done, one registered and not queued yet: the migration thread must not go on."""
    one = destination("post-load-jobs")
    b_is_ready_first(one)
    one.scene.until_told(CONFIG_END, device=B)
    one.scene.until_waits(INCOMING, "post-load jobs filled")
    assert one.scene.holder("BQL") is None
    one.data(0, A, 1)
    one.completes()


# incoming-complete


def test_incoming_complete_is_one_notifier_after_everything_else(destination: Make) -> None:
    one = destination("incoming-complete")
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.scene.until_told("vfio_load_bufs_thread_end", 2)
    one.gic()
    one.scene.until_told(GIC_LOADED)
    one.scene.until_waits(INCOMING, STREAM)
    assert not one.scene.told("precopy_notify")
    one.eof()
    one.completes()
    assert len(one.scene.told("precopy_notify")) == 1
    assert one.place("precopy_notify") < one.place(CONFIG_START)


def test_incoming_complete_waits_with_the_bql_held_and_takes_whoever_is_ready(destination: Make) -> None:
    one = destination("incoming-complete")
    b_is_ready_first(one)
    one.scene.until_told(CONFIG_END, device=B)
    one.scene.until_waits(INCOMING, "the data filled")
    assert one.scene.holder("BQL") == INCOMING
    one.data(0, A, 1)
    one.completes()
    assert one.order(CONFIG_END) == [B, A]
