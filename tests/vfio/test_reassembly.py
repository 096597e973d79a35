"""Receivers and a load thread on real threads: order, waking, errors, the end."""

from __future__ import annotations

import math
import random
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import DeviceError, InvariantError, LimitError, PeerTimeoutError, WireError
from migemu.vfio.flow import TotalCap
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.slots import BufferLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.vfio.content import Span
    from vfio.conftest import Log, Payload

NAME = "0000:00:01.0/vfio"


HELD = {
    0: [700, 600, 500, 400, 300, 300, 200],
    250: [700, 700, 500, 500, 300, 300, 300],
    1000: [700, 700, 700, 700, 700, 300, 300],
}
"""Bytes counted at each of seven writes, by the run's size; packet 5 comes while 4 is written."""


def never() -> float:
    """A deadline that does not hide a missed wake-up: a loader nobody wakes is still there at the join."""
    return math.inf


def collect(buffers: StateBuffers, into: list[int]) -> Callable[[], None]:
    """A load thread's body that writes idx numbers into a list."""

    def write(idx: int, _span: Span) -> None:
        assert not buffers.mutex.held(), "the mutex is dropped while the device writes"
        into.append(idx)

    return lambda: buffers.load_data(write, never)


def test_four_receivers_in_any_order_and_one_loader_in_idx_order(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    packets = [payload(bytes(100)) for _ in range(201)]
    order = list(range(201))
    random.Random(3).shuffle(order)  # noqa: S311 - a repeatable story
    loaded: list[int] = []
    loader, errors = log.run("load", collect(buffers, loaded))

    def receive(channel: int) -> None:
        for idx in order[channel::4]:
            buffers.insert(idx, packets[idx], idx == 200)

    receivers = [log.run(f"multifd {channel}", partial(receive, channel)) for channel in range(4)]
    assert all(thread.join(10) for thread, _ in [*receivers, (loader, errors)])
    assert errors == []
    assert loaded == list(range(200))
    assert (buffers.stats.loaded, buffers.stats.queued_bytes) == (200, 100)
    item = buffers.take_config()
    buffers.done(item)
    assert [packet.released for packet in packets] == [1] * 201
    assert buffers.stats.peak_bytes <= 201 * 100


@pytest.mark.parametrize("run", [0, 250, 1000])
def test_small_buffers_that_are_here_in_a_row_are_given_back_together(
    log: Log, payload: Any, run: int
) -> None:
    """Up to the run's bytes; what comes meanwhile, or is missing, ends the run, and the order stays."""
    flow = TotalCap(log, 10_000)
    buffers = StateBuffers(NAME, log, limits=BufferLimits(run=run), flow=flow)
    packets = [payload(bytes(100)) for _ in range(8)]
    for idx in (0, 1, 2, 3, 4, 6, 7):
        buffers.insert(idx, packets[idx], idx == 7)
    held: list[int] = []

    def write(idx: int, _span: Span) -> None:
        held.append(flow.held)
        if idx == 4:
            buffers.insert(5, packets[5])

    buffers.load_data(write, never)
    assert held == HELD[run]
    assert (buffers.stats.loaded, buffers.stats.queued_bytes, flow.held) == (7, 100, 100)
    assert all(packet.released == 1 for packet in packets[:7])


def test_a_run_that_fails_in_its_middle_is_given_back_whole(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log, limits=BufferLimits(run=1000))
    packets = [payload(bytes(100)) for _ in range(4)]
    for idx, packet in enumerate(packets):
        buffers.insert(idx, packet)

    def write(idx: int, _span: Span) -> None:
        if idx == 1:
            raise DeviceError("the data fd failed", device=NAME, idx=idx)

    with pytest.raises(DeviceError, match="idx 1"):
        buffers.load_data(write, never)
    assert all(packet.released == 1 for packet in packets)
    assert buffers.stats.queued_bytes == 0


def test_a_receiver_is_not_held_up_by_a_slow_device(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    writing, go_on = threading.Event(), threading.Event()

    def write(_idx: int, _span: Span) -> None:
        writing.set()
        assert go_on.wait(30)

    buffers.insert(0, payload(b"slow"))
    loader, errors = log.run("load", lambda: buffers.load_data(write, never))
    assert writing.wait(30)
    buffers.insert(1, payload(b"config"), is_config=True)
    assert buffers.try_next() is None, "one buffer at a time"
    go_on.set()
    assert loader.join(10)
    assert not errors


def test_the_loader_wakes_for_the_buffer_it_waits_for_and_counts_its_wait(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    loaded: list[int] = []
    loader, _ = log.run("load", collect(buffers, loaded))
    log.asleep(buffers.mutex)
    with buffers.mutex:
        buffers.buffer_ready.notify_all()
    log.asleep(buffers.mutex, 2)
    buffers.insert(1, payload(b"one"))
    assert loaded == [], "a stray wake-up and a later buffer are not what it waits for"
    buffers.insert(0, payload(b"zero"))
    log.asleep(buffers.mutex, 3)
    buffers.insert(2, payload(b"config"), is_config=True)
    assert loader.join(10)
    assert loaded == [0, 1]
    assert [f["idx"] for f in log.told("vfio_load_state_device_buffer_starved")] == [0, 2]
    assert buffers.stats.starved == 2
    assert buffers.stats.wait_time > 0
    assert [f["idx"] for f in log.told("vfio_load_state_device_buffer_incoming")] == [1, 0, 2]


def test_a_wait_ends_at_its_deadline_which_progress_elsewhere_may_move(clock: Any, payload: Any) -> None:
    buffers = StateBuffers(NAME, clock)
    buffers.insert(3, payload(b"three"))
    ends = iter([clock.time + 1e-3, clock.time + 2e-3, clock.time])
    with pytest.raises(
        PeerTimeoutError, match=r"buffer 0 did not come .* 1 later ones are queued, idx 3 to 3"
    ) as caught:
        buffers.wait_next(lambda: next(ends))
    assert (caught.value.device, caught.value.idx) == (NAME, 0)
    assert list(ends) == []


def test_the_end_of_all_channels_ends_a_wait_that_cannot_be_satisfied(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    buffers.insert(0, payload(b"zero"))
    buffers.insert(2, payload(b"two"))
    loader, errors = log.run("load", collect(buffers, []))
    log.asleep(buffers.mutex)
    buffers.channels_ended()
    assert loader.join(10)
    assert [type(error) for error in errors] == [WireError]
    assert "data buffer 1 never came and every multifd channel has ended" in str(errors[0])


def test_a_config_that_never_comes_ends_the_wait_too(log: Log) -> None:
    buffers = StateBuffers(NAME, log)
    buffers.channels_ended()
    with pytest.raises(WireError, match="the config packet never came"):
        buffers.load_data(lambda _idx, _span: None, never)


def test_all_that_is_here_is_loaded_although_the_channels_have_ended(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    for idx in (0, 1, 2):
        buffers.insert(idx, payload(b"data"), is_config=idx == 2)
    buffers.channels_ended()
    loaded: list[int] = []
    collect(buffers, loaded)()
    assert loaded == [0, 1]


def test_over_the_main_channel_the_count_ends_the_data(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log, config_on_multifd=False)
    loaded: list[int] = []
    buffers.insert(0, payload(b"zero"))
    buffers.channels_ended()
    loader, errors = log.run("load", collect(buffers, loaded))
    log.asleep(buffers.mutex)
    assert loader.alive(), "the count is still to come"
    buffers.set_data_count(1)
    assert loader.join(10)
    assert (loaded, errors, buffers.complete) == ([0], [], True)


def test_a_count_beyond_what_came_is_hopeless_once_the_channels_have_ended(log: Log) -> None:
    buffers = StateBuffers(NAME, log, config_on_multifd=False)
    buffers.channels_ended()
    buffers.set_data_count(1)
    with pytest.raises(WireError, match="data buffer 0 never came"):
        buffers.wait_next(never)
    other = StateBuffers(NAME, log, config_on_multifd=False)
    with pytest.raises(WireError, match="told of"):
        other.set_data_count(2**32)
    assert other.want_exit


def test_a_refused_packet_fails_the_loader_as_well(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log, limits=BufferLimits(slots=4))
    loader, errors = log.run("load", collect(buffers, []))
    log.asleep(buffers.mutex)
    stray: Payload = payload(b"stray")
    with pytest.raises(LimitError) as caught:
        buffers.insert(9, stray)
    assert loader.join(10)
    assert errors == [caught.value]
    assert stray.released == 1


def test_an_abort_wakes_every_condition_and_leaves_the_buffer_being_written_to_its_loader(
    log: Log, payload: Any
) -> None:
    buffers = StateBuffers(NAME, log)
    config_allowed = buffers.condition("load_bufs_iter_done")
    writing, go_on = threading.Event(), threading.Event()
    held, queued = payload(b"held"), payload(b"queued")

    def write(_idx: int, _span: Span) -> None:
        writing.set()
        assert go_on.wait(30)
        assert held.released == 0

    def wait_for_mark() -> None:
        with buffers.mutex:
            while not buffers.want_exit:
                config_allowed.wait(30)

    buffers.insert(0, held)
    buffers.insert(1, queued)
    loader, errors = log.run("load", lambda: buffers.load_data(write, never))
    waiter, _ = log.run("config", wait_for_mark)
    log.asleep(buffers.mutex)
    assert writing.wait(30)
    reason = DeviceError("another device failed")
    buffers.abort(reason)
    buffers.abort(DeviceError("a later error"))
    assert waiter.join(10)
    assert (queued.released, buffers.stats.queued_bytes) == (1, 4)
    go_on.set()
    assert loader.join(10)
    assert errors == [reason]
    assert (held.released, buffers.stats.queued_bytes) == (1, 0)


def test_a_failing_device_fails_its_reassembly_and_later_packets_are_dropped(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)

    def write(_idx: int, _span: Span) -> None:
        raise DeviceError("broken", device=NAME)

    first, late = payload(b"zero"), payload(b"late")
    buffers.insert(0, first)
    with pytest.raises(DeviceError, match="broken"):
        buffers.load_data(write, never)
    assert not buffers.insert(1, late)
    assert (first.released, late.released, buffers.stats.queued_bytes) == (1, 1, 0)
    with pytest.raises(DeviceError, match="broken"):
        buffers.take_config()


def test_teardown_may_be_repeated(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    queued, config = payload(b"zero"), payload(b"config")
    buffers.insert(0, queued)
    buffers.insert(1, config, is_config=True)
    buffers.close()
    buffers.close()
    assert (queued.released, config.released) == (1, 1)


def test_a_config_taken_too_early_breaks_an_invariant(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    buffers.insert(1, payload(b"config"), is_config=True)
    with pytest.raises(InvariantError, match=r"config-last: config wanted with 0 of 1 data buffers loaded"):
        buffers.take_config()


def test_the_cap_over_all_devices_fails_the_one_that_exceeds_it(log: Log, payload: Any) -> None:
    cap = TotalCap(log, 10)
    one, other = (StateBuffers(name, log, flow=cap) for name in ("one", "other"))
    one.insert(0, payload(bytes(6)))
    with pytest.raises(LimitError, match=r"queue_total = 10 \(6 queued\)") as caught:
        other.insert(0, payload(bytes(5)))
    assert (caught.value.device, other.want_exit, one.want_exit) == ("other", True, False)
    item = one.wait_next(never)
    assert item is not None
    one.done(item)
    assert cap.held == 0
    one.insert(1, payload(bytes(10)))
    assert cap.held == 10, "what fits exactly fits"


def test_receivers_may_load_by_themselves_whoever_completes_the_run(log: Log, payload: Any) -> None:
    """Design k' of the debate: no load thread; each receiver writes what is next while there is something."""
    buffers = StateBuffers(NAME, log)
    loaded: list[int] = []

    def receive(channel: int) -> None:
        for idx in range(channel, 300, 3):
            buffers.insert(idx, payload(b"data"))
            while (item := buffers.try_next()) is not None:
                loaded.append(item.idx)
                buffers.done(item)

    receivers = [log.run(f"multifd {channel}", partial(receive, channel)) for channel in range(3)]
    assert all(thread.join(10) for thread, _ in receivers)
    assert [error for _, errors in receivers for error in errors] == []
    while (item := buffers.try_next()) is not None:
        loaded.append(item.idx)
        buffers.done(item)
    assert loaded == list(range(300))


def test_two_loaders_never_write_at_the_same_time_and_both_end(log: Log, payload: Any) -> None:
    buffers = StateBuffers(NAME, log)
    writing: list[int] = []
    loaded: list[int] = []

    def write(idx: int, _span: Span) -> None:
        writing.append(idx)
        assert len(writing) == 1
        loaded.append(idx)
        writing.remove(idx)

    loaders = [log.run(name, lambda: buffers.load_data(write, never)) for name in ("one", "other")]
    log.asleep(buffers.mutex, 2)
    for idx in (2, 0, 1, 3):
        buffers.insert(idx, payload(b"data"), is_config=idx == 3)
    assert all(thread.join(10) for thread, _ in loaders)
    assert [error for _, errors in loaders for error in errors] == []
    assert loaded == [0, 1, 2]


def test_an_error_that_is_there_before_the_loader_is_what_it_raises(log: Log) -> None:
    buffers = StateBuffers(NAME, log)
    buffers.abort(DeviceError("gone"))
    for call in (buffers.try_next, lambda: buffers.wait_next(never), buffers.take_config):
        with pytest.raises(DeviceError, match="gone"):
            call()
