"""Figures as people read them in a table: three digits, a dash for what is not known."""

from __future__ import annotations

from migemu.scenario.units import format_rate, format_size, format_time

UNKNOWN = "-"


def size(value: float | None) -> str:
    """Bytes: ``100 MiB``."""
    if value is None:
        return UNKNOWN
    return f"{round(value)} B" if value < 1024 else format_size(round(value), digits=3)


def rate(value: float | None) -> str:
    """Bytes a second: ``1.40 GiB/s``."""
    return UNKNOWN if value is None else format_rate(value, digits=3)


def time(value: float | None) -> str:
    """Seconds, in the unit that fits: ``283 ms``."""
    if value is None:
        return UNKNOWN
    rounded = float(f"{value:.3g}")  # first, or 0.9999 ms would be 1000 us
    return format_time(rounded, digits=3) if rounded > 0 else "0 s"


def ms(value: float | None) -> str:
    """Seconds, always as milliseconds without the unit, so that a column can be compared: ``283.4``."""
    if value is None:
        return UNKNOWN
    return f"{value * 1000:.0f}" if value >= 10 else f"{value * 1000:.1f}"


def count(number: int, noun: str) -> str:
    """``1 device``, ``4 devices``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """A share of 0 to 1: ``12.5 %``."""
    return f"{share * 100:.1f} %"
