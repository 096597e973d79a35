"""One run's figures: they add up, they are scaled back, and what is not known is not there."""

from __future__ import annotations

import pytest

from lab.studies import BASE, failed, told
from migemu.lab.study_figures import PARTS, PATH, figures, thread_kind
from observe.story import Story


def story_figures(story: Story) -> dict[str, float]:
    return figures(story.result(), story.joined())


def test_both_cuts_of_the_downtime_add_up_to_it() -> None:
    found = story_figures(Story().tell())
    assert found["downtime"] == pytest.approx(0.086)
    assert sum(found[name] for name in PATH) == pytest.approx(0.086)
    assert sum(found[name] for name in PARTS) == pytest.approx(0.086)


def test_the_path_is_that_of_the_device_whose_config_was_in_last() -> None:
    found = story_figures(Story().tell())
    ms = {name.removeprefix("path "): round(found[name] * 1000, 3) for name in PATH}
    # The second device: stopped at 105, buffers at 110, 120, 130 for 5 ms each, ready at 142, config 165..174
    assert ms == {
        "stop": 5.0,
        "wait": 15.0,
        "load": 15.0,
        "config on its way": 7.0,
        "ready": 23.0,
        "config": 9.0,
        "after": 12.0,
    }


def test_another_device_being_last_changes_the_path() -> None:
    story = Story().tell()
    for event in ("vfio_load_device_config_state_start", "vfio_load_device_config_state_end"):
        story.move(event, 11, device=0)
    assert story_figures(story)["path ready"] == pytest.approx(0.024)  # 142 to 166 of the first device


def test_a_dilated_run_has_the_figures_of_full_speed() -> None:
    story = Story().tell()
    plain = story_figures(story)
    story.scenario["dilation"] = 10.0
    slow = story_figures(story)
    assert slow["downtime"] == pytest.approx(plain["downtime"] / 10)
    assert slow["path ready"] == pytest.approx(plain["path ready"] / 10)
    assert slow["device_rate"] == pytest.approx(plain["device_rate"] * 10)
    assert slow["queue_peak"] == plain["queue_peak"]


def test_means_over_devices_and_the_longest_wait() -> None:
    found = story_figures(Story().tell())
    assert found["config_load"] == pytest.approx(0.009)
    assert found["ready_wait"] == pytest.approx((0.013 + 0.023) / 2)
    assert found["ready_longest"] == pytest.approx(0.023)


def test_the_locks_holders_are_told_by_their_kind() -> None:
    found = story_figures(Story().tell())
    assert found["bql load threads"] == pytest.approx(0.019)
    assert thread_kind("incoming") == "incoming"
    assert thread_kind("load 0000:00:01.0/vfio") == thread_kind("load 0000:00:02.0/vfio") == "load threads"


def test_cpu_is_that_of_the_migration_not_of_starting_up() -> None:
    story = Story()
    for ms, cpu in ((-900, 0.1), (-1, 1.0), (50, 1.03), (99, 1.05)):
        story.src(ms, "progress", cpu=cpu, memory=ms + 1000)
    story.src(0, "connected", channels=2)
    story.tell()
    found = story_figures(story)
    assert found["cpu_source"] == pytest.approx(0.05 / 0.1)
    assert found["memory_source"] == 1099
    assert "cpu_destination" not in found


def test_shares_are_held_against_a_fair_share() -> None:
    found = story_figures(Story().tell())  # channel 0: 1 of RAM, 2 x 2 of devices; channel 1: 1, 2 x 1
    assert found["share_most"] == pytest.approx(5 / 8 * 2)
    assert found["share_least"] == pytest.approx(3 / 8 * 2)


def test_a_failed_run_has_only_what_it_came_to() -> None:
    measured = failed(BASE, "destination: it broke")
    found = figures(measured.result, measured.events)
    assert "downtime" not in found
    assert not set(PATH) & set(found)
    assert figures(told(BASE, 90).result, told(BASE, 90).events)["downtime"] == pytest.approx(0.09)
