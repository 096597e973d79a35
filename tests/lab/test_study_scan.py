"""What a study varies: values as people write them, the grid they span, devices made unlike each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.studies import BASE
from migemu.errors import ConfigError, UsageError
from migemu.lab.study_scan import Scan, combinations, grid, parse_scan, parse_scans, point
from migemu.lab.study_skew import spread
from migemu.scenario import with_overrides


def test_a_scan_is_a_key_and_its_values() -> None:
    assert parse_scan("channels = 1, 2,4") == Scan("channels", ("1", "2", "4"))
    assert parse_scan("device.*.config_load_time=10 ms,70 ms").values == ("10 ms", "70 ms")


def test_commas_in_brackets_and_quotes_belong_to_the_value() -> None:
    scan = parse_scan('device.0.transition_times={ STOP = "1 ms", RUNNING = "2 ms" },{}')
    assert scan.values == ('{ STOP = "1 ms", RUNNING = "2 ms" }', "{}")
    assert parse_scan('name="a,b",c').values == ('"a,b"', "c")


@pytest.mark.parametrize("text", ["channels", "channels=", "=1,2", "channels=1,,2", "channels=1,1"])
def test_a_scan_that_says_nothing_or_something_twice_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--scan"):
        parse_scan(text)


def test_a_key_may_be_given_once_and_a_grid_has_an_end() -> None:
    with pytest.raises(UsageError, match="given twice"):
        parse_scans(["channels=1,2", "channels=4"])
    many = ",".join(map(str, range(1, 202)))
    with pytest.raises(UsageError, match="at most 10000"):
        parse_scans([f"channels={many}", f"seed={many}"])


def test_a_grid_has_every_combination_the_last_key_running_fastest() -> None:
    scans = [Scan("channels", ("1", "2")), Scan("devices", ("1", "3"))]
    points = grid(BASE, scans)
    assert [made.name for made in points] == [
        "channels=1, devices=1",
        "channels=1, devices=3",
        "channels=2, devices=1",
        "channels=2, devices=3",
    ]
    made = [(p.scenario.migration.channels, len(p.scenario.device)) for p in points]
    assert made == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert combinations([]) == [()]


def test_a_wrong_value_is_an_error_of_the_scan_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"--scan channels: must be at least 1"):
        grid(BASE, [Scan("channels", ("1", "0"))])


def test_only_numbers_make_an_axis() -> None:
    assert Scan("devices", ("1", "16")).numbers() == (1, 16)
    assert Scan("device.*.config_load_time", ("10 ms",)).numbers() is None


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=64), st.floats(0.01, 100))
def test_spreading_keeps_the_sum_and_gives_the_first_its_ratio_to_the_last(
    sizes: list[int], ratio: float
) -> None:
    made = spread(sizes, ratio)
    assert sum(made) == pytest.approx(sum(sizes))
    if len(sizes) > 1 and sizes[0] and sizes[-1]:
        assert made[0] / made[-1] == pytest.approx(ratio * sizes[0] / sizes[-1])


@given(st.integers(1, 16), st.sampled_from(["0.25", "1", "4", "37.5"]))
def test_skew_moves_bytes_between_devices_and_loses_none(devices: int, ratio: str) -> None:
    base = with_overrides(BASE, [f"devices={devices}"])
    sizes = [device.state_size for device in point(base, (("skew", ratio),)).scenario.device]
    assert sum(sizes) == sum(device.state_size for device in base.device)
    if devices > 1:
        assert sizes[0] / sizes[-1] == pytest.approx(float(ratio), rel=1e-4)


def test_rate_skew_makes_the_first_device_slow_and_keeps_the_time_of_all_together() -> None:
    base = with_overrides(BASE, ["devices=4"])
    rates = [device.write_rate or 0 for device in point(base, (("rate_skew", "8"),)).scenario.device]
    assert rates[-1] / rates[0] == pytest.approx(8)
    assert sum(1 / rate for rate in rates) == pytest.approx(4 / 100e6)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        (("skew", "much"), "skew=much: write"),
        (("skew", "0"), "a number from 0.001 to 1000"),
        (("rate_skew", "2"), "takes no time"),
    ],
)
def test_what_cannot_be_spread_is_said(setting: tuple[str, str], told: str) -> None:
    base = with_overrides(BASE, ["device.*.write_rate=unlimited"])
    with pytest.raises(ConfigError, match=told):
        point(base, (setting,))
