"""Bars of text, readable without colour and, where the terminal knows no more, in ASCII."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

BLOCKS = "▁▂▃▄▅▆▇█"
STEPS = ".:-=+*#@"

FILLS = ("█", "▓", "▒", "░")
"""Told apart by how dense they are, so that a bar reads without colour."""
ASCII_FILLS = ("#", "=", "-", ".")

STYLES = ("green", "yellow", "blue", "magenta", "cyan", "red", "white")


def fills(console: Console) -> tuple[str, ...]:
    """The characters this console can show."""
    return FILLS if "utf" in console.encoding.lower() else ASCII_FILLS


def widths(parts: Sequence[float], width: int) -> list[int]:
    """How many of `width` cells each part gets: rounded, together exact, something for everything."""
    whole = float(sum(parts))
    if whole <= 0:
        return [0] * len(parts)
    cells = [max(1, round(width * part / whole)) if part > 0 else 0 for part in parts]
    while sum(cells) != width:  # each step moves by one and the loop ends: parts are never below 1
        step = 1 if sum(cells) < width else -1
        largest = cells.index(max(cells))
        if step < 0 and cells[largest] <= 1:
            break
        cells[largest] += step
    return cells


def segments(parts: Sequence[float], whole: float, width: int, chars: Sequence[str]) -> Text:
    """Parts of a whole side by side, the rest of the bar as dots.

    Args:
        parts: amounts, each drawn with its own character of `chars` and its own colour.
        whole: the amount that fills the bar; less than the parts' sum counts as their sum.
        width: cells.
        chars: one character a part.
    """
    sum_of = float(sum(parts))
    rest = max(0.0, whole - sum_of)
    *cells, empty = widths([*parts, rest], width) if max(whole, sum_of) > 0 else [*(0 for _ in parts), width]
    bar = Text()
    for cell, char, style in zip(cells, chars, STYLES, strict=False):
        bar.append(char * cell, style)
    return bar.append(("·" if chars[0] == FILLS[0] else " ") * empty, "dim")


def sparks(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """One character a value, as high as its share of the largest; averaged where there is no room."""
    steps = STEPS if ascii_only else BLOCKS
    if len(values) > width:
        edges = [len(values) * place // width for place in range(width + 1)]
        values = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    top = max(values, default=0) or 1
    return "".join(steps[min(len(steps) - 1, int(value / top * len(steps)))] for value in values)


def span(start: float, end: float, width: int, char: str) -> str:
    """A bar from `start` to `end` (shares of the whole, 0 to 1), at least one cell, in its place."""
    first = min(width - 1, round(start * width))
    return " " * first + char * max(1, round(end * width) - first)
