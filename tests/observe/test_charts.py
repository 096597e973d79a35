from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from migemu.errors import UsageError
from migemu.observe import charts
from migemu.observe.charts import Point, Row, Stack

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.observe.chart import Chart

SVG = "{http://www.w3.org/2000/svg}"


def texts(chart: Chart) -> list[str]:
    """Every text of a chart, which must be text and not drawn letters."""
    root = ET.fromstring(chart.svg())  # noqa: S314  our own output
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def bars(chart: Chart, colour: str) -> list[tuple[float, float]]:
    """Left and right edges of what is filled with a colour."""
    root = ET.fromstring(chart.svg())  # noqa: S314  our own output
    paths = [p for p in root.iter(f"{SVG}path") if f"fill: {colour}" in p.get("style", "")]
    edges = []
    for path in paths:
        xs = [float(x) for x in re.findall(r"[ML] ([\d.-]+) ", path.get("d", ""))]
        edges.append((min(xs), max(xs)))
    return edges


def test_stacked_bars_lie_end_to_end_and_say_their_sum() -> None:
    chart = charts.stacked_bars(
        [Stack("load-ready", {"load": 30.0, "config": 10.0}), Stack("ack", {"load": 30.0})],
        "ms",
        "downtime",
        colours={"load": "#111111", "config": "#222222"},
    )
    said = texts(chart)
    assert {"load-ready", "ack", "load", "config", "ms", "40", "30"} <= set(said)
    load, config = bars(chart, "#111111"), bars(chart, "#222222")
    assert config[0][0] == pytest.approx(load[0][1])
    assert config[0][1] - config[0][0] == pytest.approx((load[0][1] - load[0][0]) / 3, rel=1e-3)


def test_a_timeline_has_a_row_each_and_a_line_for_each_moment() -> None:
    rows = [Row("a", {"wait": [(0, 1), (2, 3)], "load": [(1, 2)]}), Row("b", {"load": [(0.5, 3)]})]
    chart = charts.timeline(rows, "ms", "devices", colours={"wait": "#111111"}, moments={"VM runs": 3.5})
    assert {"a", "b", "wait", "load", "VM runs", "ms"} <= set(texts(chart))
    waits = [edge for edge in bars(chart, "#111111") if edge[1] - edge[0] > 30]
    assert len(waits) == 2


def test_lines_have_bands_and_a_tick_for_every_measured_count() -> None:
    points = [Point(x, 10.0 * x, 9.0 * x, 11.0 * x) for x in (1, 2, 6, 15)]
    chart = charts.lines_with_intervals({"load-ready": points}, "channels", "ms", "sweep", log=True)
    assert {"1", "2", "6", "15", "channels", "ms"} <= set(texts(chart))
    assert "load-ready" not in texts(chart)  # a single line needs no legend
    assert "opacity: 0.18" in chart.svg()


def test_steps_and_columns_name_their_axes() -> None:
    level = charts.steps({"source": [(0, 1), (1, 3)], "destination": [(0, 2)]}, "s", "MiB", "queue")
    assert {"source", "destination", "s", "MiB"} <= set(texts(level))
    shares = charts.columns({str(n): 1.0 for n in range(255)}, "multifd channel", "%", "shares")
    numbers = [text for text in texts(shares) if text.isdigit()]
    assert len(numbers) < 60  # not a label for each of 255


def test_charts_on_one_page_do_not_share_ids() -> None:
    one, two = (charts.columns({"a": 1.0}, "x", "y", "same").svg() for _ in range(2))
    assert set(re.findall(r' id="([^"]+)"', one)).isdisjoint(re.findall(r' id="([^"]+)"', two))
    for svg in (one, two):
        ids = re.findall(r'\bid="([^"]+)"', svg)
        referred = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert referred
        assert set(referred) <= set(ids)


def test_what_a_chart_shows_is_said_to_who_cannot_see_it() -> None:
    svg = charts.columns({"a": 1.0}, "x", "y", 'shares of "a" & others').svg()
    assert 'aria-label="shares of &quot;a&quot; &amp; others"' in svg


def test_the_same_chart_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "c.png"):
        charts.columns({"a": 1.0}, "x", "y", "shares").save(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_another_kind_of_file_or_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    chart = charts.columns({"a": 1.0}, "x", "y", "shares")
    with pytest.raises(UsageError, match=r"written as \.svg or \.png"):
        chart.save(tmp_path / "a.gif")
    with pytest.raises(UsageError, match="cannot write the chart"):
        chart.save(tmp_path / "none" / "a.svg")


def test_matplotlib_and_perfetto_are_not_loaded_before_they_are_needed() -> None:
    code = (
        "import sys, migemu.observe.report, migemu.observe.trace, migemu.observe.charts;"
        "print(sorted(m for m in ('matplotlib', 'perfetto') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
