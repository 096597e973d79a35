"""A side's armed rules: what they tell, what chance they have, what is left of them at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from link.order_bench import Bench, config, data, main, section
from migemu.errors import ScheduleError
from migemu.link.order_arm import rules_for
from migemu.link.order_watch import WatchedThreads
from migemu.scenario import loads
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Mapping

DROP_A = '[[order]]\nname = "x"\ntype = "drop"\nselect = { device = "a" }\n'


def test_a_rule_says_when_it_acts_and_on_what() -> None:
    bench = Bench(DROP_A)
    bench.come(data("b", 0, 1), data("a", 3, 1), main("Command", "PING"))
    (told,) = bench.named("order_rule_fired")
    assert told == {
        "rule": "x",
        "type": "drop",
        "stream": "in",
        "record": "DevicePacket",
        "times": 1,
        "channel": 1,
        "device": "a/vfio",
        "idx": 3,
    }


def test_a_rule_that_acts_all_the_time_is_told_a_hundred_times_and_counted_on() -> None:
    bench = Bench(DROP_A)
    bench.come(*(data("a", idx) for idx in range(150)))
    bench.orders.finish()
    assert len(bench.named("order_rule_fired")) == 100
    assert bench.named("order_rule_ended")[0]["fired"] == 150


def test_at_the_end_each_rule_says_what_came_of_it_once() -> None:
    bench = Bench(
        DROP_A
        + '[[order]]\nname = "y"\ntype = "drop"\nselect = { device = "b" }\n'
        + '[[order]]\nname = "z"\ntype = "hold"\nselect = { flag = "config" }\n'
        + 'attributes = { until = { event = "e" }, timeout = "1 s" }\n'
    )
    bench.come(data("a", 0), config("a", 1, 1), config("b", 2, 2))
    bench.clock.pass_by(2)
    assert bench.orders.finish() is None
    assert bench.orders.finish() is None
    told = [(e["rule"], e["fired"], e["expired"], e["ok"]) for e in bench.named("order_rule_ended")]
    assert told == [("x", 2, 0, True), ("y", 1, 0, True), ("z", 0, 0, False)]


def test_every_required_rule_that_fell_short_is_in_the_error() -> None:
    bench = Bench(
        '[[order]]\nname = "p"\ntype = "drop"\nrequired = true\nselect = { record = "Tail" }\n'
        '[[order]]\nname = "q"\ntype = "hold"\nrequired = true\nselect = { idx = 0 }\n'
        'attributes = { until = { event = "e" }, timeout = "1 s" }\n' + DROP_A
    )
    bench.come(data("b", 0))
    bench.clock.pass_by(2)
    error = bench.orders.finish()
    assert isinstance(error, ScheduleError)
    never, vain = error.message.split("; ")
    assert never == "order rule p (drop) never fired"
    assert vain == "what order rule q (hold) waited for did not come in time, 1 of 1 times"


def test_a_wait_that_ends_in_time_is_not_counted_as_expired_later() -> None:
    bench = Bench(
        '[[order]]\nname = "x"\ntype = "hold"\nselect = { idx = 0 }\n'
        'attributes = { until = { event = "e" } }\n'
    )
    bench.come(data("a", 0))
    bench.orders.event("e", {})
    assert bench.clock.pending() == 0
    bench.clock.pass_by(100)
    assert bench.named("order_rule_expired") == []
    assert bench.said(0) == "a0"


def test_chance_follows_from_seed_rule_and_packet_and_from_nothing_else() -> None:
    text = '[[order]]\nname = "{}"\ntype = "drop"\ntoxicity = 0.5\nselect = {{ device = "a" }}\n'

    def left(name: str, seed: int, channel: int, *, backwards: bool = False) -> set[str]:
        bench = Bench(text.format(name), seed=seed)
        packets = [data("a", idx, channel) for idx in range(100)]
        bench.come(*(reversed(packets) if backwards else packets))
        return set(bench.said(channel).split())

    usual = left("x", 1, 0)
    assert usual == left("x", 1, 3, backwards=True)
    assert usual != left("y", 1, 0)
    assert usual != left("x", 2, 0)


def test_what_waits_for_a_section_goes_on_behind_its_footer() -> None:
    bench = Bench(
        '[[order]]\ntype = "hold"\nselect = { idx = 0 }\n'
        'attributes = { until = { record = "SectionFull", section = "x" } }\n'
    )
    head, body, foot = section("x", "1")
    bench.come(data("a", 0), head, body)
    assert bench.said(0) == ""
    bench.come(foot)
    assert bench.said(0) == "a0"


def test_a_rule_that_cannot_be_applied_is_the_sides_error_and_not_the_loops() -> None:
    bench = Bench('[[order]]\nname = "x"\ntype = "corrupt"\nattributes = { field = "nope" }\n')
    bench.come(data("a", 0), data("a", 1))
    assert "order rule x: DevicePacket has no field nope" in str(bench.errors[0])
    assert bench.said(0) == "a0 a1"


def test_answers_may_wait_and_that_is_known() -> None:
    bench = Bench('[[order]]\ntype = "delay"\nstream = "return"\nattributes = { latency = "1 s" }\n')
    item = main("Message", "SHUT")
    item.stream = "return"
    bench.come(item)
    assert bench.orders.busy("return")
    bench.clock.pass_by(1)
    assert not bench.orders.busy("return")


@pytest.mark.parametrize(("side", "names"), [("source", ["o"]), ("destination", ["i", "r"])])
def test_each_side_carries_out_the_rules_of_its_streams(side: str, names: list[str]) -> None:
    text = "".join(
        f'[[order]]\nname = "{stream[0]}"\ntype = "drop"\nstream = "{stream}"\n'
        for stream in ("in", "out", "return")
    )
    assert [order.name for order in rules_for(loads(text, environ={}), side)] == names


def test_only_events_that_a_rule_waits_for_are_handed_to_it() -> None:
    heard: list[tuple[str, object, str]] = []
    said: list[str] = []

    def listen(event: str, fields: Mapping[str, object]) -> None:
        heard.append((event, fields.get("idx"), threading.current_thread().name))

    threads = WatchedThreads(
        NativeThreads(lambda event, *_: said.append(event)), frozenset({"wanted"}), listen
    )
    worker = threads.spawn("worker", lambda: threads.point("wanted", idx=7))
    assert worker.join(5)
    threads.point("other")
    assert said == ["wanted", "other"]
    assert heard == [("wanted", 7, "worker")]


def test_a_watched_seam_is_a_seam() -> None:
    threads = WatchedThreads(NativeThreads(), frozenset(), lambda *_: None)
    lock = threads.lock("l")
    condition = threads.condition(lock, "c")
    with lock:
        assert not condition.wait(0.0)
    before = threads.now()
    threads.sleep(0.001)
    assert threads.now() > before
    assert threads.current() == threading.current_thread().name
