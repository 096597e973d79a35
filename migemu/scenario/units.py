"""Sizes, rates and times as people write them: ``100 MiB``, ``15 Gbit/s``, ``70 ms``.

Inside the program a size is bytes (int), a rate is bytes per second (float), a time is seconds (float).
Binary prefixes (``KiB``) are powers of 1024, decimal ones (``kB``, ``Gbit/s``) powers of 1000. A bare
whole number is a size in bytes; a bare rate or time is refused because bits and bytes, seconds and
milliseconds are both plausible. ``0`` needs no unit.

``parse_x(format_x(value)) == value`` for every value; ``format_x(value, digits=3)`` is for tables and is
within half a step of its last digit.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from migemu.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_PREFIXES = _DECIMAL | _BINARY
_EIGHTH = Fraction(1, 8)

MAX_SIZE = 2**63 - 1
"""Largest size: what a file offset can hold."""


@dataclass(frozen=True)
class Scale:
    """One kind of quantity: its units as factors of the base, and which of them to write."""

    noun: str
    example: str
    base: str
    units: dict[str, Fraction]
    exact: tuple[str, ...]
    """Units an exact value may be written in; of equally short texts the earlier unit wins."""
    shown: tuple[str, ...]
    """Units a rounded value is shown in, largest first."""
    bare: bool = False
    """Whether a number without a unit is a number of `base`."""
    hints: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _table(units: Mapping[str, int | Fraction]) -> dict[str, Fraction]:
    return {name: Fraction(factor) for name, factor in units.items()}


SIZE = Scale(
    noun="size",
    example="100 MiB",
    base="B",
    units=_table(
        {f"{prefix}B": factor for prefix, factor in _PREFIXES.items()} | {"KB": 1000, "byte": 1, "bytes": 1}
    ),
    exact=("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB", "B"),
    shown=("TiB", "GiB", "MiB", "KiB", "B"),
    bare=True,
)

RATE = Scale(
    noun="rate",
    example="15 Gbit/s",
    base="B/s",
    units=_table(
        {f"{prefix}B/s": factor for prefix, factor in _PREFIXES.items()}
        | {f"{prefix}bit/s": factor * _EIGHTH for prefix, factor in _PREFIXES.items()}
        | {f"{prefix}bps": factor * _EIGHTH for prefix, factor in _DECIMAL.items()}
        | {"KB/s": 1000}
    ),
    exact=("GiB/s", "MiB/s", "KiB/s", "GB/s", "MB/s", "kB/s", "B/s", "Gbit/s", "Mbit/s", "kbit/s", "bit/s"),
    shown=("GiB/s", "MiB/s", "KiB/s", "B/s"),
    hints={f"{prefix}b/s": (f"{prefix}bit/s", f"{prefix}B/s") for prefix in _DECIMAL},
)

TIME = Scale(
    noun="time",
    example="70 ms",
    base="s",
    units=_table(
        {
            "ns": Fraction(1, 10**9),
            "us": Fraction(1, 10**6),
            "\N{MICRO SIGN}s": Fraction(1, 10**6),
            "\N{GREEK SMALL LETTER MU}s": Fraction(1, 10**6),
            "ms": Fraction(1, 1000),
            "s": 1,
            "min": 60,
            "h": 3600,
        }
    ),
    exact=("h", "min", "s", "ms", "us", "ns"),
    shown=("s", "ms", "us", "ns"),
)

_LONGEST = 400
"""Characters: more than any value needs, fewer than Python refuses to turn into a number."""
_TEXT = re.compile(r"\s*(?P<number>[+-]?[0-9][0-9_]*(?:\.[0-9]+)?)\s*(?P<unit>[^\s0-9.]\S*)?\s*")


def parse_size(value: str | int) -> int:
    """Read a size in bytes.

    Args:
        value: ``"100 MiB"``, ``"1.5 GB"``, ``"4096"`` or a whole number of bytes. A fraction of a byte
            is rounded to the nearest byte.

    Raises:
        ConfigError: no such unit, negative, beyond 8 EiB, or not a size at all.
    """
    size = round(_read(value, SIZE))
    if size > MAX_SIZE:
        raise ConfigError(f"{_quote(value)} is beyond the largest size, {MAX_SIZE} bytes")
    return size


def parse_rate(value: str | float) -> float:
    """Read a rate as bytes per second; the unit says whether bits or bytes were meant.

    Raises:
        ConfigError: no unit, no such unit, negative, or not a rate at all.
    """
    return _finite(_read(value, RATE), value)


def parse_time(value: str | float) -> float:
    """Read a time as seconds.

    Raises:
        ConfigError: no unit, no such unit, negative, or not a time at all.
    """
    return _finite(_read(value, TIME), value)


def format_size(size: int, *, digits: int | None = None) -> str:
    """Write a size, exactly or to `digits` significant digits: ``100 MiB``."""
    return _write(Fraction(size), SIZE, digits)


def format_rate(rate: float, *, digits: int | None = None) -> str:
    """Write a rate in bytes per second, exactly or to `digits` significant digits: ``15 Gbit/s``."""
    return _write(_shortest(rate), RATE, digits)


def format_time(time: float, *, digits: int | None = None) -> str:
    """Write a time in seconds, exactly or to `digits` significant digits: ``70 ms``."""
    return _write(_shortest(time), TIME, digits)


def _read(value: object, scale: Scale) -> Fraction:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, float) and (not math.isfinite(value) or scale.bare):
            raise ConfigError(f"{value} is not a {scale.noun}; {_like(scale)}")
        return _scaled(Fraction(value), None, str(value), scale)
    match = _TEXT.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST else None
    if match is None:
        raise ConfigError(f"{_quote(value)} is not a {scale.noun}; {_like(scale)}")
    return _scaled(Fraction(match["number"]), match["unit"], str(value), scale)


def _scaled(number: Fraction, unit: str | None, text: str, scale: Scale) -> Fraction:
    if number < 0:
        raise ConfigError(f"{_quote(text)} is negative; a {scale.noun} is 0 or more")
    if unit is None:
        if number and not scale.bare:
            raise ConfigError(f"{_quote(text)} has no unit; {_like(scale)}")
        if number.denominator != 1:
            raise ConfigError(f"{_quote(text)} has no unit and is not whole; {_like(scale)}")
        return number
    if unit not in scale.units:
        raise ConfigError(f"unknown unit {_quote(unit)} in {_quote(text)}; {_suggest(unit, scale)}")
    return number * scale.units[unit]


def _suggest(unit: str, scale: Scale) -> str:
    """Say which unit was probably meant; several where a guess would hide a factor of 8 or 1.024."""
    folded = unit.casefold()
    near = scale.hints.get(unit) or tuple(known for known in scale.units if known.casefold() == folded)
    near = near or tuple(known for known in scale.units if known.casefold().startswith(folded))
    near = near or tuple(difflib.get_close_matches(unit, scale.units, n=1))
    if not near:
        return _like(scale)
    return "did you mean " + " or ".join(_quote(name) for name in near[:3]) + "?"


def _finite(value: Fraction, text: object) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ConfigError(f"{_quote(text)} is too large a number") from None


def _like(scale: Scale) -> str:
    return f'write it like "{scale.example}"'


def _quote(value: object) -> str:
    text = str(value)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return '"' + shown.encode("unicode_escape").decode("ascii").replace("\\xb5", "\N{MICRO SIGN}") + '"'


def _shortest(value: float) -> Fraction:
    """The shortest decimal that reads back as `value`: 0.07 is 7/100, not its binary neighbour."""
    return Fraction(Decimal(repr(float(value))))


def _write(value: Fraction, scale: Scale, digits: int | None) -> str:
    return _exactly(value, scale) if digits is None else _rounded(value, scale, digits)


def _exactly(value: Fraction, scale: Scale) -> str:
    """The shortest text with at most three decimals, or the base unit with as many as it takes.

    Amounts from 1000 on count as one longer, so that 15 Gbit/s is not 1875 MB/s.
    """
    texts: list[tuple[int, str]] = []
    for unit in scale.exact:
        amount = value / scale.units[unit]
        if amount >= 1 and (amount * 1000).denominator == 1:
            text = f"{_plain(amount)} {unit}"
            texts.append((len(text) + (amount >= 1000), text))
    # min() keeps the first of equals, which is what the order of `exact` promises.
    return min(texts, key=lambda item: item[0])[1] if texts else f"{_plain(value)} {scale.base}"


def _rounded(value: Fraction, scale: Scale, digits: int) -> str:
    """The largest unit the rounded value reaches: 999.9 us to three digits is 1.00 ms."""
    if not value:
        return f"0 {scale.base}"
    for unit in scale.shown:
        amount = value / scale.units[unit]
        whole = unit == scale.base and scale.bare  # there are no parts of a byte
        decimals = 0 if whole else max(0, digits - len(str(int(amount))))
        text = f"{float(amount):.{decimals}f}"
        if Fraction(text) >= 1:
            break
    return f"{text} {unit}"


def _plain(amount: Fraction) -> str:
    """A fraction whose denominator divides a power of ten, without exponent or trailing zeros."""
    if amount.denominator == 1:
        return str(amount.numerator)
    places = 0
    while (amount * 10**places).denominator != 1:
        places += 1
    whole = str((amount * 10**places).numerator).rjust(places + 1, "0")
    return f"{whole[:-places]}.{whole[-places:]}"
