"""close, truncate, refuse: where a connection ends, and what of it still goes."""

from __future__ import annotations

import pytest

from link.order_bench import Bench, data
from migemu.link.order_item import Item


@pytest.mark.parametrize("how", ["whole", "half", "reset"])
def test_a_connection_ends_behind_a_packet(how: str) -> None:
    bench = Bench(
        f'[[order]]\nname = "cut"\ntype = "close"\nselect = {{ idx = 1 }}\nattributes = {{ how = "{how}" }}\n'
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2))
    assert bench.said(0) == "a0 a1"
    assert bench.sinks[0].ended == [f"{how} by cut"]


def test_or_before_it() -> None:
    bench = Bench('[[order]]\ntype = "close"\nselect = { idx = 1 }\nattributes = { when = "before" }\n')
    bench.come(data("a", 0), data("a", 1))
    assert bench.said(0) == "a0"
    assert bench.sinks[0].ended == ["whole by close-1"]


def test_whoever_sends_on_an_ended_connection_is_not_left_waiting() -> None:
    bench = Bench('[[order]]\ntype = "close"\nselect = { idx = 0 }\n')
    settled: list[int] = []
    bench.come(*(data("a", idx, settle=lambda idx=idx: settled.append(idx)) for idx in range(3)))
    assert settled == [0, 1, 2]
    assert bench.lane(0).idle


def test_a_truncated_packet_is_the_last_of_its_connection() -> None:
    bench = Bench('[[order]]\ntype = "truncate"\nselect = { idx = 12 }\nattributes = { bytes = 2 }\n')
    bench.come(data("a", 7), data("a", 12), data("a", 13))
    assert bench.said(0) == "a7 a1"
    assert len(bench.sinks[0].ended) == 1


def test_a_refused_connection_never_begins() -> None:
    bench = Bench('[[order]]\nname = "no"\ntype = "refuse"\nselect = { record = "Connect", nth = 2 }\n')
    told: list[str] = []

    def arrive(number: int) -> Item:
        def begin(_item: Item) -> bool:
            told.append(f"{number} begins")
            return True

        return Item("in", None, "Connect", begin=begin, deny=lambda rule: told.append(f"{number}: {rule}"))

    bench.lane(0)
    for number in (1, 2, 3):
        bench.orders.make_lane("in", None, bench.sinks[0]).offer(arrive(number))
    assert told == ["1 begins", "2: no", "3 begins"]
