from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.observe.join import clock, join

if TYPE_CHECKING:
    from observe.story import Story


def test_the_measurement_with_the_shortest_round_trip_counts(story: Story) -> None:
    measured = clock(story.source)
    assert measured.offset == pytest.approx(5.0)
    assert measured.error == pytest.approx(0.0001)
    assert measured.measured


def test_destination_times_come_to_the_sources_clock_and_the_first_event_is_at_zero(story: Story) -> None:
    joined = story.joined()
    assert joined[0].t == 0
    assert [event.t for event in joined] == sorted(event.t for event in joined)
    ready = [event.t for event in joined if event.event == "config_ready"]
    assert ready == pytest.approx([0.142, 0.142])
    assert len(joined) == len(story.source) + len(story.destination)


def test_one_side_alone_still_makes_a_story(story: Story) -> None:
    alone = join([], story.destination)
    assert alone[0].t == 0
    assert {event.side for event in alone} == {"destination"}
    assert join([], []) == []


def test_without_a_measurement_both_clocks_are_taken_as_one(story: Story) -> None:
    assert not clock(story.without("clock_offset").source).measured
    assert story.joined()[-1].t == pytest.approx(5.186)
