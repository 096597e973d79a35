"""One chart: SVG for a page or a file, by matplotlib, which is imported only when one is asked for."""

from __future__ import annotations

import html
import io
import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migemu.errors import UsageError
from migemu.observe.html import Html

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 10.0
"""Inches; pages scale charts to their own width."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")
"""Okabe and Ito's palette, told apart by people with any colour vision."""

GRID = "#e3e7eb"

STYLE: Any = {  # the stubs want a literal of its 300 names
    "svg.fonttype": "none",
    "svg.hashsalt": "migemu",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so charts are laid out alike everywhere
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a949e",
    "axes.axisbelow": True,
}

_numbers = count(1)


class Chart:
    """A drawn chart."""

    def __init__(self, figure: Figure, alt: str) -> None:
        self._figure = figure
        self._alt = alt

    def svg(self) -> Html:
        """The chart for a page; its ids are its own among all charts of a page."""
        text = self._render("svg").decode("utf-8")
        text = text[text.index("<svg") :].replace("'DejaVu Sans'", "system-ui")
        return Html(_own_ids(text, f"c{next(_numbers)}-").replace("<svg ", f"<svg {_label(self._alt)} ", 1))

    def save(self, path: str | Path) -> None:
        """Write the chart to a file; its name ends in .svg or .png.

        Raises:
            UsageError: the name says another kind, or the file cannot be written.
        """
        kind = Path(path).suffix.removeprefix(".").lower()
        if kind not in ("svg", "png"):
            raise UsageError(f"{path}: charts are written as .svg or .png")
        try:
            Path(path).write_bytes(self._render(kind))
        except OSError as error:
            raise UsageError(f"cannot write the chart {path}: {error.strerror}") from None

    def _render(self, kind: str) -> bytes:
        import matplotlib as mpl  # noqa: PLC0415  35 MB that only charts need

        out = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else None
        with mpl.rc_context(STYLE):
            self._figure.savefig(out, format=kind, dpi=144, bbox_inches="tight", metadata=metadata)
        return out.getvalue()


def _own_ids(svg: str, prefix: str) -> str:
    """Several charts on a page must not share ids, or one would be clipped by another's frame."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
    return re.sub(r'(href="#|url\(#)([^")]+)', rf"\1{prefix}\2", svg)


def _label(alt: str) -> str:
    """What a screen reader says."""
    return f'role="img" aria-label="{html.escape(alt, quote=True)}"'


def canvas(height: float, alt: str, *, columns: int = 1) -> tuple[Chart, list[Axes]]:
    """An empty chart of `columns` axes side by side, `height` inches high, for charts not among these."""
    import matplotlib as mpl  # noqa: PLC0415  see above
    from matplotlib.figure import Figure  # noqa: PLC0415  see above

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    return Chart(figure, alt), axes
