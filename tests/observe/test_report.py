from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import UsageError
from migemu.observe import charts, pictures
from migemu.observe.html import Html, Section, details, html_page, mark, paragraph, table
from migemu.observe.index import Index
from migemu.observe.progress import Progress
from migemu.observe.report import report, write_report
from migemu.observe.result import RunEnd
from observe.story import Story

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.observe.charts import Row

FIRST = "0000:00:01.0"
VOID = {"meta", "br", "use"}


class Checker(HTMLParser):
    """Fails on unbalanced tags; collects headings and everything that would be fetched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.headings: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.fetched.append(f"{tag} {value}")
        if tag in ("script", "link", "img"):
            self.fetched.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_a_page_of_one_run_is_whole_and_fetches_nothing(story: Story) -> None:
    story.src(10, "progress", **Progress(cpu=0.1).fields())
    story.src(110, "progress", **Progress(cpu=0.15).fields())
    page = report(story.result(), story.joined())
    seen = Checker(page)
    assert seen.fetched == []
    assert "default-src 'none'" in page
    assert seen.headings == [
        *("Outcome", "Downtime", "Devices", "Queued bytes", "Channels", "CPU"),
        *("Invariants and verification", "What ran"),
    ]
    for told in (
        "86.0 ms",
        "save iterables",
        "0000:00:02.0/vfio",
        "config-after-iterables",
        "&quot;seed&quot;: 7",
    ):
        assert told in page


def test_what_is_not_known_has_no_section(story: Story, untold: Story) -> None:
    nothing = Checker(report(untold.result(RunEnd(1, ("no peer",))), []))
    assert nothing.headings == ["Outcome", "Downtime", "Devices", "Invariants and verification", "What ran"]
    alone = Checker(report(story.result(), []))
    assert "Queued bytes" not in alone.headings


def test_a_taps_page_names_every_packet_and_shows_what_went_by_in_the_place_of_what_was_loaded(
    story: Story,
) -> None:
    told = story.result()
    blind = [device.model_copy(update={"data_bytes": 0}) for device in told.devices]
    told = told.model_copy(update={"devices": tuple(blind)})
    packets = "".join(f"{FIRST}/vfio  idx {idx:4d}  data\n" for idx in range(3))
    page = report(told, [], packets)
    assert "Device packets" in Checker(page).headings
    assert "3 packets" in page
    assert all(line in page for line in packets.splitlines())
    assert page.count("0 B") < report(told, []).count("0 B")


def test_a_failed_run_says_why_and_what_differs(story: Story) -> None:
    story.dst(181, "verify", what="data", device=f"{FIRST}/vfio", ok=False, detail="<1a> not <2b>")
    page = report(story.result(), story.joined())
    Checker(page)
    assert '<span class="bad">failed</span>' in page
    assert f"{FIRST}/vfio data differs &lt;1a&gt; not &lt;2b&gt;" in page
    assert '<span class="bad">BROKEN</span>' in page


def test_a_dilated_runs_page_is_at_full_speed_and_says_so(story: Story) -> None:
    story.scenario["dilation"] = 10
    page = report(story.result(), story.joined())
    assert "The run was dilated, 10 times slower" in page
    assert "8.60 ms" in page
    chart = pictures.device_chart(Index(story.joined()), 10)
    assert chart is not None
    assert "8.6" in re.findall(r">([\d.]+)</text>", page)


def test_a_page_is_written_or_says_why_not(story: Story, tmp_path: Path) -> None:
    write_report(story.result(), story.joined(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(UsageError, match="cannot write the report"):
        write_report(story.result(), [], tmp_path / "none" / "report.html")


def test_nothing_a_scenario_says_becomes_markup() -> None:
    wicked = "<script>alert(1)</script>"
    body = table((wicked, "n"), [(wicked, "1")]) + paragraph(wicked) + details(wicked, wicked)
    page = html_page(wicked, [Section(wicked, body + mark(wicked, good=True), wicked)], wicked)
    assert "<script" not in page
    assert Checker(page).fetched == []


def test_tables_align_figures_and_keep_html_cells() -> None:
    rows = table(("design", "ms"), [("load-ready", "12"), (Html("<b>x</b>"), "<")])
    assert '<td>load-ready</td><td class="number">12</td>' in rows
    assert '<td><b>x</b></td><td class="number">&lt;</td>' in rows
    assert "<thead>" not in table(("", ""), [("a", "b")])


@pytest.mark.parametrize("dilation", [1, 10])
def test_devices_are_drawn_in_ms_since_the_downtime_began(
    story: Story, monkeypatch: pytest.MonkeyPatch, dilation: float
) -> None:
    drawn: dict[str, Any] = {}

    def catch(rows: list[Row], *_: str, moments: dict[str, float], **__: object) -> None:
        drawn.update({row.label: row.spans for row in rows}, moments=moments)

    monkeypatch.setattr(charts, "timeline", catch)
    pictures.device_chart(Index(story.joined()), dilation)
    assert drawn["moments"] == pytest.approx({"all loaded": 80 / dilation, "VM runs": 86 / dilation})
    first = drawn[FIRST]
    assert list(first) == ["waiting for buffers", "loading data", "ready, not yet allowed", "config load"]
    assert first["waiting for buffers"][0] == pytest.approx((5 / dilation, 9 / dilation))
    assert first["config load"] == [pytest.approx((55 / dilation, 64 / dilation))]


def test_a_moment_that_never_came_is_not_drawn(story: Story) -> None:
    drawn = pictures.device_chart(Index(story.without("vmstate_downtime_checkpoint").joined()))
    assert drawn is not None
    assert "VM runs" not in drawn.svg()


def test_one_devices_queue_is_not_drawn_twice(story: Story) -> None:
    both = pictures.queue_chart(Index(story.joined()))
    one = pictures.queue_chart(Index(Story(devices=1).tell().joined()))
    assert both is not None
    assert one is not None
    assert "all devices" in both.svg()
    assert "all devices" not in one.svg()


def test_neighbouring_spans_become_one_where_a_chart_cannot_part_them() -> None:
    assert pictures.merged([(3, 4), (0, 1), (1.05, 2)], 0.1) == [(0, 2), (3, 4)]
    assert pictures.merged([(0, 5), (1, 2)], 0.0) == [(0, 5)]
    assert pictures.merged([], 1.0) == []


def test_thinning_keeps_every_peak_a_chart_can_show() -> None:
    points = [(float(t), 1000 if t == 4321 else t % 7) for t in range(10_000)]
    thin = pictures.thinned(points)
    assert len(thin) <= pictures.RESOLUTION
    assert (4321.0, 1000) in thin
    assert pictures.thinned(points[:10]) == points[:10]


def test_levels_of_several_devices_add_up_over_time() -> None:
    assert pictures.summed([[(0, 5), (2, 0)], [(1, 3), (3, 0)]]) == [(0, 5), (1, 8), (2, 3), (3, 0)]


def test_a_long_run_of_many_devices_stays_a_page_one_can_open() -> None:
    many = Story(devices=64, buffers=100).tell()
    page = report(many.result(), many.joined())
    assert len(page) < 4_000_000
