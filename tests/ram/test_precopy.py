"""When the VM is stopped: QEMU's rule in figures, and the places where a run must end and QEMU's may not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.ram import Estimator, Pending, Reason

MIB = 1 << 20
GB = 10**9
SIZES = st.integers(0, 1 << 40)
PARTS = st.lists(st.builds(lambda i, d, rest: Pending(i, d, i + d + rest), SIZES, SIZES, SIZES), max_size=5)


def measured(limit: float = 0.3, rate: int = GB, **options: float | bool) -> Estimator:
    """An estimator that has seen one good round at `rate` bytes/s."""
    estimator = Estimator(limit, **options)  # type: ignore[arg-type]  # its own keywords
    estimator.round(rate, 1.0)
    return estimator


def test_what_fits_the_limit_is_what_the_link_carries_in_it() -> None:
    estimator = measured(0.3, 10 * GB)
    assert estimator.bandwidth == 10 * GB
    assert estimator.threshold == 3 * GB
    assert estimator.expected_downtime(5 * GB) == 0.5


def test_it_switches_over_at_the_threshold_and_not_a_byte_above() -> None:
    estimator = measured()
    assert estimator.decide([Pending.of_ram(300_000_000)]).reason is Reason.CONVERGED
    decision = estimator.decide([Pending.of_ram(300_000_001)])
    assert (decision.switch, decision.reason, decision.pending) == (False, None, 300_000_001)


def test_before_the_first_measurement_only_nothing_pending_converges() -> None:
    estimator = Estimator(0.3)
    assert not estimator.decide([Pending.of_ram(1)]).switch
    assert estimator.decide([Pending.of_ram(1)]).expected_downtime is None
    nothing = estimator.decide([Pending.of_ram(0), Pending()])
    assert (nothing.switch, nothing.expected_downtime) == (True, 0.0)


def test_precopy_and_stop_copy_are_not_counted_twice() -> None:
    # 200 MiB of a device, 150 of which pre-copy could still send: 200 are left, not 350 (QEMU 3b5948f808e3).
    device = Pending(initial=50 * MIB, dirty=100 * MIB, stop_copy=200 * MIB)
    decision = measured(0.25, 1000 * MIB).decide([Pending.of_ram(10 * MIB), device])
    assert (decision.reason, decision.pending) == (Reason.CONVERGED, 210 * MIB)
    assert decision.expected_downtime == pytest.approx(0.21)


def test_initial_bytes_of_a_device_hold_the_switchover_up() -> None:
    device = Pending(initial=400 * MIB, stop_copy=401 * MIB)
    decision = measured(0.3, 1000 * MIB).decide([Pending.of_ram(0), device])
    assert (decision.switch, decision.pending) == (False, 400 * MIB)


def test_without_the_ack_nothing_is_stopped() -> None:
    estimator = measured(max_rounds=1)
    small, large = Pending.of_ram(1), Pending.of_ram(GB)
    for pending in (small, large):
        held = estimator.decide([pending], can_switchover=False)
        assert (held.switch, held.waiting_for_ack) == (False, True)
        assert estimator.decide([pending]).switch
    assert not measured().decide([large], can_switchover=False).waiting_for_ack


def test_rounds_that_send_next_to_nothing_do_not_spoil_the_bandwidth() -> None:
    estimator = measured()
    for _ in range(100):
        estimator.round(0, 0.01)
        estimator.round(4096, 0.01)
    assert estimator.bandwidth == GB
    estimator.round(MIB, 0.01)
    assert estimator.bandwidth == 100 * MIB
    assert estimator.rounds == 202


def test_a_small_first_round_is_better_than_no_measurement() -> None:
    estimator = Estimator(1.0)
    estimator.round(4096, 0.5)
    assert estimator.bandwidth == 8192
    estimator.round(4096, 0.0)  # too short to be timed
    assert estimator.bandwidth == 8192


def test_a_given_switchover_bandwidth_is_believed() -> None:
    estimator = measured(switchover_bandwidth=10 * GB)
    assert estimator.threshold == 3 * GB


def test_devices_too_large_for_the_limit_are_not_waited_for() -> None:
    devices = [Pending(stop_copy=100 * MIB)] * 4
    ram = Pending.of_ram(50 * MIB)
    decision = measured(0.3, 1000 * MIB).decide([ram, *devices])
    assert (decision.switch, decision.reason) == (True, Reason.FLOOR)
    assert decision.expected_downtime == pytest.approx(0.45)
    busy = Pending.of_ram(301 * MIB)
    assert not measured(0.3, 1000 * MIB).decide([busy, *devices]).switch, "RAM may still shrink"
    assert not measured(0.3, 1000 * MIB, wait_for_limit=True).decide([ram, *devices]).switch


def test_what_may_still_shrink_is_waited_for() -> None:
    # Neither part is over the limit alone: less dirty RAM in the next round would do.
    decision = measured(0.3, 1000 * MIB).decide([Pending.of_ram(200 * MIB), Pending(stop_copy=200 * MIB)])
    assert (decision.switch, decision.pending) == (False, 400 * MIB)


def test_the_first_pass_is_made_whatever_the_devices_hold() -> None:
    decision = Estimator(0.3).decide([Pending.of_ram(0), Pending(stop_copy=GB)])
    assert decision.reason is None


@settings(deadline=None)
@given(PARTS, st.floats(0, 10), st.integers(MIB, 100 * GB))
def test_stopping_keeps_the_limit_or_says_why_not(parts: list[Pending], limit: float, rate: int) -> None:
    decision = measured(limit, rate).decide(parts)
    exact = sum(part.exact for part in parts)
    if decision.reason is Reason.CONVERGED:
        assert exact <= decision.threshold
        assert decision.expected_downtime is not None
        assert decision.expected_downtime <= limit
    elif decision.reason is Reason.FLOOR:
        assert sum(part.exact - part.estimate for part in parts) > decision.threshold
    else:
        assert decision.pending > decision.threshold


@settings(deadline=None)
@given(PARTS, st.integers(0, 4))
def test_less_pending_never_makes_it_wait_longer(parts: list[Pending], index: int) -> None:
    estimator = measured(wait_for_limit=True)
    if estimator.decide(parts).switch:
        assert estimator.decide(parts[:index] + parts[index + 1 :]).switch
