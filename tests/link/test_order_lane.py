"""What holds of a lane whatever the rules: nothing is lost, nothing doubled, nobody left waiting."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from link.order_bench import Bench, config, data, main, ram, section, sync

if TYPE_CHECKING:
    from migemu.link.order_item import Item

WAITING = st.sampled_from(
    [
        'type = "hold"\nselect = {{ {0} }}\nattributes = {{ until = {{ {1} }}, timeout = "1 s" }}',
        'type = "after"\nselect = {{ {0} }}\nattributes = {{ packet = {{ {1} }}, timeout = "1 s" }}',
        'type = "before"\nselect = {{ {0} }}\nattributes = {{ packet = {{ {1} }}, timeout = "1 s" }}',
        'type = "delay"\nselect = {{ {0} }}\nattributes = {{ jitter = "2 s" }}',
        'type = "sequence"\nattributes = {{ order = [ {{ {0} }}, {{ {1} }} ], timeout = "1 s" }}',
        'type = "move"\nselect = {{ {0} }}\nattributes = {{ to = 2 }}',
        'type = "slice"\nselect = {{ {0} }}\nattributes = {{ size = 1, pause = "10 ms" }}',
    ]
)
PLACES = st.sampled_from(
    [
        'device = "a"',
        'flag = "config"',
        'flag = "sync", nth = 1',
        "idx = 1",
        "channel = 0",
        'command = "PING"',
        'record = "SectionFull"',
    ]
)
RULES = st.lists(st.tuples(WAITING, PLACES, PLACES), min_size=1, max_size=4)


def traffic() -> list[Item]:
    """Packets on three channels and records on main, all of them different."""
    items = [data("a", idx, idx % 2) for idx in range(4)] + [data("b", idx, 1 - idx % 2) for idx in range(3)]
    items += [config("a", 4, 0), config("b", 3, 1), ram("r0", 0), ram("r1", 1), ram("r2", 2)]
    items += [sync(0), sync(1), sync(2), main("Command", "PING"), *section("x", "1", "2"), main("Eof")]
    return items


@settings(deadline=None)
@given(rules=RULES, shuffle=st.randoms(use_true_random=False))
def test_rules_that_wait_deliver_everything_once_and_settle_everybody(rules: list[Any], shuffle: Any) -> None:
    text = "".join(f"[[order]]\n{kind.format(one, two)}\n" for kind, one, two in rules)
    bench = Bench(text)
    for channel in (0, 1, 2, "main"):
        bench.lane(channel)
    items = traffic()
    lines: dict[object, list[Item]] = {}
    for item in items:
        lines.setdefault(item.channel, []).append(item)
    whole = Counter("".join(b"".join(item.parts).decode() for item in items))
    settled: list[int] = []
    for number, item in enumerate(items):
        item.settle = lambda number=number: settled.append(number)
    while lines:
        channel = shuffle.choice(sorted(lines, key=str))
        bench.come(lines[channel].pop(0))
        if not lines[channel]:
            del lines[channel]
    bench.clock.pass_by(1000)  # a held packet waits a second, and there may be many in one lane
    assert Counter("".join(text for _, text in bench.log)) == whole
    assert sorted(settled) == list(range(len(items)))
    assert all(lane.idle and lane.bytes == lane.aside_bytes == 0 for lane in bench.lanes.values())
    assert bench.errors == []


def test_packets_moved_to_another_channel_and_held_there_all_arrive() -> None:
    """Each steps in ahead of the one that waits at the head, and is told to wait as well."""
    bench = Bench(
        '[[order]]\ntype = "move"\nselect = { device = "a" }\nattributes = { to = 1 }\n'
        '[[order]]\ntype = "hold"\nselect = { device = "a" }\n'
        'attributes = { until = { event = "go" }, timeout = "1 s" }\n'
    )
    bench.lane(1)
    bench.come(data("a", 0), data("a", 1), data("b", 0, 1))
    assert bench.said(1) == ""
    bench.orders.event("go", {})
    assert bench.said(1) == "a0 a1 b0"
    assert bench.lane(1).idle


def test_what_no_rule_selects_keeps_its_order() -> None:
    bench = Bench('[[order]]\ntype = "delay"\nselect = { device = "a" }\nattributes = { latency = "1 s" }\n')
    bench.come(data("b", 0), data("a", 0), data("b", 1), data("b", 2))
    bench.clock.pass_by(2)
    assert bench.said(0) == "b0 a0 b1 b2"


def test_an_outlet_without_room_is_given_nothing_until_it_has_some() -> None:
    bench = Bench("")
    lane = bench.lane(0)
    bench.sinks[0].room = False
    bench.come(data("a", 0), data("a", 1))
    assert (bench.said(0), lane.bytes) == ("", 4)
    bench.sinks[0].room = True
    lane.pump()
    assert (bench.said(0), lane.bytes) == ("a0 a1", 0)


def test_a_lane_that_is_closed_lets_everybody_go() -> None:
    bench = Bench(
        '[[order]]\ntype = "hold"\nselect = { idx = 0 }\nattributes = { until = { event = "never" } }\n'
    )
    settled: list[int] = []
    bench.come(*(data("a", idx, settle=lambda idx=idx: settled.append(idx)) for idx in range(3)))
    assert settled == []
    bench.lane(0).close()
    assert settled == [0, 1, 2]
    bench.come(data("a", 3, settle=lambda: settled.append(3)))
    assert (settled, bench.said(0)) == ([0, 1, 2, 3], "")


def test_what_waits_for_a_packet_that_is_gone_goes_on() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { idx = 0 }\nattributes = { packet = { idx = 1 } }\n'
        '[[order]]\ntype = "drop"\nselect = { idx = 1 }\n'
    )
    bench.come(data("a", 0), data("a", 1), data("a", 2))
    assert bench.said(0) == "a0 a2"


def test_a_section_without_a_footer_ends_where_the_next_record_begins() -> None:
    bench = Bench('[[order]]\ntype = "drop"\nselect = { record = "SectionFull", section = "x" }\n')
    bench.come(*section("x", "1")[:2], *section("y", "2")[:2], main("Eof"))
    assert bench.said("main") == "<y 2 Eof"


def test_a_section_aside_steps_in_whole_although_its_footer_comes_late() -> None:
    bench = Bench(
        '[[order]]\ntype = "after"\nselect = { record = "SectionFull" }\n'
        'attributes = { packet = { event = "go" } }\n'
    )
    head, body, foot = section("x", "1")
    bench.come(head)
    bench.orders.event("go", {})
    bench.come(body)
    assert bench.said("main") == ""
    bench.come(foot, main("Eof"))
    assert bench.said("main") == "<x 1 > Eof"


def test_rules_act_in_the_order_of_the_file() -> None:
    drop = '[[order]]\ntype = "drop"\nselect = { nth = 2 }\n'
    double = '[[order]]\ntype = "duplicate"\nselect = { idx = 0 }\n'
    first, second = Bench(double + drop), Bench(drop + double)
    for bench in (first, second):
        bench.come(data("a", 0), data("a", 1))
    assert (first.said(0), second.said(0)) == ("a0 a1", "a0 a0")
