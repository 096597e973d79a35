"""Designs in which the multifd receive threads load the devices: the ring of waits, and the price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handoff.harness import BARRIER, CONFIG_END, INCOMING, LOAD_END, LOAD_START, A, B
from migemu.errors import InvariantError, PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from handoff.harness import Destination

    Make = Callable[..., Destination]

RECV_0, RECV_1 = "multifd_recv 0", "multifd_recv 1"


def crossed(one: Destination) -> None:
    """Maciej S. Szmigiero's example of 1 Oct 2024; his buffers 1 and 2 are idx 0 and 1 here."""
    one.switchover()
    one.data(0, A, 1)
    one.data(0, B, 0)
    one.data(1, B, 1)
    one.data(1, A, 0)


def test_recv_loads_deadlocks_in_the_crossed_order_and_says_who_waits_for_what(destination: Make) -> None:
    one = destination("recv-loads", patience=1.0)
    crossed(one)
    error = one.fails()
    assert isinstance(error, InvariantError)
    assert error.invariant == "ends"
    assert f"{RECV_0} holds idx 1 of {A} and waits for idx 0" in str(error)
    assert f"{RECV_1} holds idx 1 of {B} and waits for idx 0" in str(error)
    assert not one.scene.told(LOAD_START)


def test_a_ring_is_told_before_the_waits_that_suffer_from_it_run_out(destination: Make) -> None:
    """At half the patience: else the error might be that the main channel brings nothing."""
    one = destination("recv-loads", patience=1000.0)
    crossed(one)
    one.scene.until_waits(RECV_0, f"load_bufs_buffer_ready {A}")
    one.scene.until_waits(RECV_1, f"load_bufs_buffer_ready {B}")
    shortest = min(one.scene.timeouts[RECV_0] or 0, one.scene.timeouts[RECV_1] or 0)
    assert 400 < shortest <= 500


def test_recv_loads_nonblocking_passes_it(destination: Make) -> None:
    """Peter Xu's drawing: who brings the missing buffer loads the run."""
    one = destination("recv-loads-nonblocking")
    one.switched()
    one.data(0, A, 1)
    one.data(1, B, 1)
    one.scene.until(lambda: not one.core.busy(0) and not one.core.busy(1), "both threads reading on")
    one.data(0, B, 0)
    one.data(1, A, 0)
    one.scene.until_told(LOAD_END, 4)
    one.last(0, A)
    one.last(1, B)
    one.rest()
    one.completes()
    assert {told.thread for told in one.scene.told(LOAD_START, device=A)} == {RECV_1}
    assert {told.thread for told in one.scene.told(LOAD_START, device=B)} == {RECV_0}


def test_a_sync_closes_the_ring_too(destination: Make) -> None:
    """Channel 0 is parked at its SYNC with A's first buffer behind it; channel 1 waits for that buffer."""
    one = destination("recv-loads", patience=1.0)
    one.switchover()
    one.sync(0)
    one.data(1, A, 1)
    one.barrier_word()
    error = one.fails()
    assert isinstance(error, InvariantError)
    assert f"{RECV_1} holds idx 1 of {A} and waits for idx 0" in str(error)
    assert f"{RECV_0} is at its SYNC" in str(error)


def test_a_closed_channel_closes_the_ring_too(destination: Make) -> None:
    one = destination("recv-loads", patience=1.0)
    one.switchover()
    one.data(1, A, 1)
    one.core.channel_ended(0, None)
    assert f"{RECV_0} is closed" in str(one.fails())


def test_a_channel_that_could_still_bring_it_is_no_ring(destination: Make) -> None:
    """Then it is the source that does nothing, and the error is a time limit's."""
    one = destination("recv-loads", patience=0.3)
    one.switchover()
    one.data(1, A, 1)
    error = one.fails()
    assert isinstance(error, PeerTimeoutError)


def test_recv_loads_works_where_every_device_is_in_order_on_one_channel(destination: Make) -> None:
    one = destination("recv-loads", channels=1)
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=0)
    one.rest()
    one.completes()
    assert {told.thread for told in one.scene.told(LOAD_START)} == {RECV_0}


def test_a_blocked_receiver_goes_on_when_its_turn_has_come(destination: Make) -> None:
    """The thread that has the buffer writes it, not the one that brought the buffer before it."""
    one = destination("recv-loads")
    one.switchover()
    one.data(0, A, 1)
    one.scene.until_waits(RECV_0, f"load_bufs_buffer_ready {A}")
    one.data(1, A, 0)
    one.scene.until_told(LOAD_END, 2, device=A)
    assert [told.thread for told in one.scene.told(LOAD_START)] == [RECV_1, RECV_0]


def test_a_buffer_that_is_being_written_is_not_in_yet(destination: Make) -> None:
    """The receiver of the next one blocks until the write has ended."""
    one = destination("recv-loads")
    writing = one.scene.gate(LOAD_START, device=A, idx=0)
    one.switched()
    one.data(0, A, 0)
    one.scene.until_reached(writing)
    one.data(1, A, 1)
    one.scene.until_waits(RECV_1, f"load_bufs_buffer_ready {A}")
    writing.open()
    one.scene.until_told(LOAD_END, 2, device=A)


def test_a_slow_device_keeps_its_channel_from_being_read(destination: Make) -> None:
    """B's buffer stands behind A's on channel 0 and waits for A's write: why coupling costs."""
    one = destination("recv-loads-nonblocking")
    slow = one.scene.gate(LOAD_START, device=A)
    one.switched()
    assert one.data(0, A, 0) is False
    one.data(0, B, 0)
    one.scene.until_reached(slow)
    assert one.core.busy(0)
    assert not one.scene.told("multifd_recv_packet", device=B)
    slow.open()
    one.scene.until_told(LOAD_END, device=B)
    one.scene.until(lambda: not one.core.busy(0), "channel 0 free again")


def test_load_threads_take_it_at_once(destination: Make) -> None:
    one = destination("load-finish")
    slow = one.scene.gate(LOAD_START, device=A)
    one.switchover()
    assert one.data(0, A, 0) is True
    one.scene.until_reached(slow)
    one.data(0, B, 0)
    one.scene.until_told(LOAD_END, device=B)
    slow.open()


def test_a_channel_is_read_again_when_its_thread_is_done(destination: Make) -> None:
    one = destination("recv-loads-nonblocking")
    idle: list[int] = []
    one.core.machine.on_idle = idle.append
    one.switched()
    one.data(1, A, 1)
    one.scene.until(lambda: 1 in idle, "channel 1 read again")


def test_two_receivers_never_write_one_device_at_a_time(destination: Make) -> None:
    """Channel 1 brings the next buffer while channel 0 writes: it leaves it, and the writer takes it."""
    one = destination("recv-loads-nonblocking")
    writing = one.scene.gate(LOAD_START, device=A, idx=0)
    one.switched()
    one.data(0, A, 0)
    one.scene.until_reached(writing)
    one.data(1, A, 1)
    one.scene.until(lambda: not one.core.busy(1), "channel 1 done with its packet")
    assert len(one.scene.told(LOAD_START)) == 1
    writing.open()
    one.scene.until_told(LOAD_END, 2, device=A)
    assert {told.thread for told in one.scene.told(LOAD_START)} == {RECV_0}


def test_the_barrier_is_passed_in_the_channels_own_order(destination: Make) -> None:
    """A SYNC behind a buffer that is still being written does not count as arrived."""
    one = destination("recv-loads-nonblocking")
    writing = one.scene.gate(LOAD_START, device=A)
    one.switched()
    one.data(0, A, 0)
    one.scene.until_reached(writing)
    one.sync(0)
    one.sync(1)
    one.barrier_word()
    one.scene.until_waits(INCOMING, BARRIER)
    assert not one.scene.told("multifd_recv_sync_main")
    writing.open()
    one.scene.until_told("multifd_recv_sync_main")
    one.scene.until(lambda: sorted(one.released) == [0, 1], "both channels read on")


def test_configs_are_loaded_in_order_of_readiness_as_in_version_two(destination: Make) -> None:
    one = destination("recv-loads-nonblocking")
    one.switchover()
    one.whole(B, channel=1)
    one.data(0, A, 1)
    one.rest()
    one.scene.until_told(CONFIG_END, device=B)
    one.data(0, A, 0)
    one.last(0, A)
    one.completes()
    assert one.order(CONFIG_END) == [B, A]
