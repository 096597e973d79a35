from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from migemu.observe import amounts
from migemu.observe.dilation import scaled_back
from migemu.observe.result import RunEnd
from migemu.observe.summary import print_summary

if TYPE_CHECKING:
    from migemu.observe.model import Result
    from observe.story import Story


def summary(result: Result, width: int = 80) -> str:
    out = io.StringIO()
    print_summary(result, Console(file=out, width=width))
    return out.getvalue()


def test_a_good_run_is_told_on_one_screen(story: Story) -> None:
    text = summary(story.result())
    assert text.startswith("migration       completed  story, load-ready, seed 7")
    for line in (
        "downtime 86.0 ms",
        "save iterables       40.0 ms",
        "in all               86.0 ms",
        "500 pages + 100 zero in 2 rounds",
        "0000:00:01.0  3.00 MiB  4.00 KiB  1.00 MiB  14.0  15.0   13.0     9.0   59.2",
        "verification    5 digests agree",
        "invariants      9 hold; not checked: lock-order",
        "VM              may run on the destination",
    ):
        assert line in text
    assert text.count("\n") <= 24


def test_a_pipe_gets_neither_escapes_nor_wide_lines(story: Story) -> None:
    for width in (80, 100):
        text = summary(story.result(), width)
        assert "\x1b" not in text
        assert text == "\n".join(map(str.rstrip, text.splitlines())) + "\n"
        assert max(map(len, text.splitlines())) <= width


def test_a_narrow_terminal_does_without_columns_but_cuts_no_figure(story: Story) -> None:
    text = summary(story.result(), 40)
    assert "…" not in text
    assert "0000:00:01.0  3.00 MiB  14.0  15.0   59.2" in text
    assert "save iterables       40.0 ms" in text


def test_the_downtimes_parts_lie_end_to_end(story: Story) -> None:
    lines = summary(story.result()).splitlines()
    bars = [line.rstrip()[44:] for line in lines if "█" in line]
    assert [bar.lstrip(" ").strip("█") for bar in bars] == [""] * 7
    ends = [len(bar) for bar in bars]
    assert ends == sorted(ends)


def test_a_failed_run_says_why_first(story: Story) -> None:
    story.without("dst-precopy-bh-vm-started").move("vfio_load_device_config_state_start", -25)
    story.src(160, "error", message="channel 3: connection lost; start the destination again")
    story.destination = [event for event in story.destination if event.event == "vm_state"]
    end = RunEnd(1, exits={"source": 1, "destination": None})
    first, second, third, *_ = summary(story.result(end), 120).splitlines()
    assert first.startswith("migration       failed")
    assert (
        second.rstrip() == "reason          source: channel 3: connection lost; start the destination again"
    )
    assert "destination had to be ended from outside" in third


def test_a_downtime_cut_short_says_so(story: Story) -> None:
    story.destination.clear()
    text = summary(story.result(RunEnd(1)))
    assert "and unknown" in text
    assert "not heard of    destination" in text


def test_of_many_devices_the_slowest_are_listed(untold: Story) -> None:
    many = type(untold)(devices=40).tell()
    text = summary(many.result())
    assert "the 12 slowest of 40" in text
    assert "0000:00:28.0" in text
    assert "0000:00:01.0 " not in text


def test_a_dilated_runs_figures_are_scaled_back_once_and_marked(story: Story) -> None:
    story.scenario["dilation"] = 10
    result = story.result()
    full = scaled_back(result)
    assert full.times.downtime == pytest.approx(0.0086)
    assert full.times.parts.stop == pytest.approx(0.0005)
    assert full.devices[0].load == pytest.approx(0.0015)
    assert full.throughput.device_state == pytest.approx(10 * (result.throughput.device_state or 0))
    assert full.devices[0].data_bytes == result.devices[0].data_bytes
    assert scaled_back(full) is full
    assert "ran 10 times slower, figures scaled back" in summary(result)
    assert summary(full) == summary(result)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (0.0009999999, "1.00 ms"),
        (0.0283, "28.3 ms"),
        (1.0683, "1.07 s"),
        (75.23, "75.2 s"),
    ],
)
def test_times_have_three_digits(seconds: float | None, text: str) -> None:
    assert amounts.time(seconds) == text


def test_sizes_and_milliseconds_line_up_in_columns() -> None:
    assert [amounts.size(value) for value in (None, 0, 1023, 1024, 100 << 20)] == [
        "-",
        "0 B",
        "1023 B",
        "1.00 KiB",
        "100 MiB",
    ]
    assert [amounts.ms(value) for value in (None, 0.2834, 12.3456)] == ["-", "283.4", "12346"]
    assert amounts.count(1, "device") == "1 device"


def test_a_source_alone_tells_what_it_saved_and_leaves_the_rest_to_the_destination(story: Story) -> None:
    story.destination.clear()
    text = summary(story.result())
    for line in (
        "device state    6.00 MiB of 2 devices",
        "0000:00:01.0  3.00 MiB  34.0",
        "verification    nothing was compared on this side",
        "VM              given up by the source",
    ):
        assert line in text
    assert "queue" not in text


def test_a_column_of_nothing_is_left_out(story: Story) -> None:
    story.destination = [event for event in story.destination if not event.event.startswith("vfio_load")]
    heads = summary(story.result(), 120)
    assert "wait" not in heads
    assert "load\n" not in heads
