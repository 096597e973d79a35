"""Time dilation slows everything down alike."""

from __future__ import annotations

import pytest

from migemu.scenario import Scenario, default, dilated
from migemu.scenario.dump import quantity_of


def test_rates_are_divided_and_times_multiplied_everywhere() -> None:
    scenario = default(environ={}, overrides=["dilation=10", "link.delay=1 ms", "link.rate=10 Gbit/s"])
    slow = dilated(scenario)
    assert slow.link.delay == pytest.approx(0.01)
    assert slow.link.rate == pytest.approx(1.25e8)
    assert slow.ram.dirty_rate == pytest.approx(scenario.ram.dirty_rate / 10)
    assert slow.migration.downtime_limit == pytest.approx(scenario.migration.downtime_limit * 10)
    assert slow.timeouts.total == pytest.approx(scenario.timeouts.total * 10)
    for before, after in zip(scenario.device, slow.device, strict=True):
        assert before.write_rate is not None
        assert after.write_rate == pytest.approx(before.write_rate / 10)
        assert after.config_load_time == pytest.approx(before.config_load_time * 10)
        assert after.transition_times["STOP"] == pytest.approx(before.transition_times["STOP"] * 10)


def test_what_is_moved_stays_the_same() -> None:
    scenario = default(environ={}, overrides=["dilation=10"])
    slow = dilated(scenario)
    sizes = [name for name, field in type(scenario.ram).model_fields.items() if quantity_of(field) is None]
    assert [getattr(slow.ram, name) for name in sizes] == [getattr(scenario.ram, name) for name in sizes]
    assert [device.state_size for device in slow.device] == [device.state_size for device in scenario.device]
    assert slow.migration.packet_size == scenario.migration.packet_size
    assert slow.limits.queue_total == scenario.limits.queue_total
    assert slow.link.rate is None


def test_it_is_done_once() -> None:
    slow = dilated(default(environ={}, overrides=["dilation=10"]))
    assert slow.dilation == 1
    assert dilated(slow) is slow
    assert dilated(Scenario()) == Scenario()
