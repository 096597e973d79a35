from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from migemu.errors import ConfigError
from migemu.scenario import format_rate, format_size, format_time, parse_rate, parse_size, parse_time
from migemu.scenario.units import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("1_000", 1000),
        ("0 bytes", 0),
        ("1 byte", 1),
        ("100 MiB", 104_857_600),
        ("100MiB", 104_857_600),
        ("  1.5 GB ", 1_500_000_000),
        ("2 KB", 2000),
        ("1 TiB", 2**40),
        ("0.1 MiB", 104_858),  # 104857.6: a fraction of a byte is rounded
    ],
)
def test_a_size_is_read_as_bytes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        (0, 0),
        ("15 Gbit/s", 1.875e9),
        ("8 bit/s", 1),
        ("10 Gbps", 1.25e9),
        ("1 Kibit/s", 128),
        ("100 MiB/s", 104_857_600),
        ("0.5 GB/s", 5e8),
    ],
)
def test_a_rate_is_read_as_bytes_per_second(text: str | int, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "time"),
    [(0, 0), ("70 ms", 0.07), ("2 s", 2), ("1.5 min", 90), ("1 h", 3600), ("3 us", 3e-6), ("3 µs", 3e-6)],
)
def test_a_time_is_read_as_seconds(text: str | int, time: float) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (parse_size, "5 M", 'did you mean "MB" or "MiB"?'),
        (parse_size, "5 mib", 'did you mean "MiB"?'),
        (parse_size, "5 MiBs", 'did you mean "MiB"?'),
        (parse_size, "-1 B", "negative"),
        (parse_size, 1.5, "not a size"),
        (parse_size, "1.5", "not whole"),
        (parse_size, True, "not a size"),
        (parse_size, "", "not a size"),
        (parse_size, "MiB", "not a size"),
        (parse_size, "9 EiB", "unknown unit"),
        (parse_size, str(2**63), "beyond the largest size"),
        (parse_size, "9" * 5000, "not a size"),
        (parse_rate, 15, "has no unit"),  # bits or bytes?
        (parse_rate, "5 Mb/s", 'did you mean "Mbit/s" or "MB/s"?'),
        (parse_rate, "5 MiB", 'did you mean "MiB/s" or "Mibit/s"?'),
        (parse_rate, float("nan"), "not a rate"),
        (parse_rate, "9" * 390 + " B/s", "too large"),
        (parse_time, 70, "has no unit"),  # seconds or milliseconds?
        (parse_time, "300", "has no unit"),
        (parse_time, "3 parsecs", 'write it like "70 ms"'),
        (parse_time, "3 MS", 'did you mean "ms"?'),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_could(
    parse: Callable[[object], object], text: object, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 160
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        (format_size(104_857_600), "100 MiB"),
        (format_size(1_000_000_000), "1 GB"),
        (format_size(1025), "1025 B"),
        (format_size(0), "0 B"),
        (format_rate(1.875e9), "15 Gbit/s"),
        (format_rate(104_857_600), "100 MiB/s"),
        (format_rate(5e8), "500 MB/s"),
        (format_rate(0.5), "4 bit/s"),
        (format_time(0.07), "70 ms"),
        (format_time(0.3), "300 ms"),
        (format_time(90), "90 s"),
        (format_time(3600), "1 h"),
    ],
)
def test_exact_texts_are_short(text: str, exact: str) -> None:
    assert text == exact


@given(st.integers(0, MAX_SIZE))
@example(MAX_SIZE)
def test_every_size_survives_writing_and_reading(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.floats(1e-9, 1e15) | st.integers(0, 10**15).map(float))
def test_every_rate_and_time_survives_writing_and_reading(value: float) -> None:
    assert parse_rate(format_rate(value)) == value
    assert parse_time(format_time(value)) == value


@given(st.integers(1, 2**60))
def test_a_rounded_size_is_within_half_a_step_of_its_last_digit(size: int) -> None:
    text = format_size(size, digits=3)
    number = text.split()[0]
    decimals = len(number.partition(".")[2])
    step = 10.0**-decimals * parse_size("1 " + text.split()[1])
    assert abs(parse_size(text) - size) <= step / 2 + 1
    assert len(number.replace(".", "")) <= 4 or size >= 2**50
    assert 1 <= float(number) < 1024 or size >= 2**50


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (format_size(0, digits=3), "0 B"),
        (format_size(5, digits=3), "5 B"),
        (format_size(2**20 - 1, digits=3), "1.00 MiB"),
        (format_size(104_333_312, digits=3), "99.5 MiB"),
        (format_rate(1_333_333_333, digits=3), "1.24 GiB/s"),
        (format_time(0.0123456, digits=2), "12 ms"),
        (format_time(1234.5, digits=3), "1234 s"),
        (format_time(0.0009999, digits=3), "1.00 ms"),
        (format_time(0, digits=2), "0 s"),
    ],
)
def test_rounded_texts_are_for_tables(text: str, shown: str) -> None:
    assert text == shown
