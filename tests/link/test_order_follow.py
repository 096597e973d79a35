"""A recorded order: who arrives when, and what happens when the next one does not come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from link.order_bench import Bench, Clock, data, main, sync
from migemu.link.order_follow import Follow
from migemu.link.order_item import Item

if TYPE_CHECKING:
    from migemu.link.order_item import Channel


class Arrivals:
    """A followed order and what arrived."""

    def __init__(self, *channels: Channel) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.follow = Follow(iter(channels))
        self.follow.begin(5.0, self.clock.later)

    def come(self, *items: Item) -> str:
        for item in items:
            self.follow.come(item.channel, self._arrive, item)
        return " ".join(self.said)

    def _arrive(self, item: Item) -> None:
        self.said.append(b"".join(item.parts).decode() or item.record)


def test_packets_arrive_in_the_recorded_order_of_channels() -> None:
    arrivals = Arrivals("main", 1, 0, 0, "main", 1)
    come = arrivals.come
    assert come(data("a", 0, 0), data("a", 1, 0)) == ""
    assert come(main("Command", "x")) == "x"
    assert come(main("Command", "y")) == "x"
    assert come(data("b", 0, 1), data("b", 1, 1)) == "x b0 a0 a1 y b1"


def test_connections_and_their_ends_wait_for_nothing_but_what_came_before_on_them() -> None:
    arrivals = Arrivals(0, 1)
    assert arrivals.come(Item("in", 1, "Connect")) == "Connect"
    assert arrivals.come(sync(1), Item("in", 1, "Close")) == "Connect"
    assert arrivals.come(sync(0)) == "Connect S S Close"


def test_what_comes_behind_the_recording_is_let_through() -> None:
    assert Arrivals(0).come(data("a", 0, 0), data("a", 1, 0), data("b", 0, 1)) == "a0 a1 b0"


def test_an_order_that_cannot_be_kept_is_given_up_and_named() -> None:
    arrivals, bench = Arrivals(0, 1, 0), Bench("")
    assert arrivals.come(data("a", 0, 0), data("a", 1, 0)) == "a0"
    arrivals.clock.pass_by(10.1)
    assert arrivals.come() == "a0 a1"
    error = arrivals.follow.finish(bench)  # type: ignore[arg-type]  # only point() is asked of it
    assert "given up behind packet 1: the next one, of channel 1" in str(error)
    assert bench.named("order_rule_ended")[0]["ok"] is False


def test_an_order_that_moves_is_not_given_up_however_long_it_takes() -> None:
    arrivals, bench = Arrivals(0, 1, 0, 1), Bench("")
    for item in (data("a", 0, 0), data("b", 0, 1), data("a", 1, 0), data("b", 1, 1)):
        arrivals.clock.pass_by(4.0)
        arrivals.come(item)
    assert arrivals.follow.finish(bench) is None  # type: ignore[arg-type]  # only point() is asked of it
    assert arrivals.said == ["a0", "b0", "a1", "b1"]
