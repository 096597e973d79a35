"""What a rule's `select` and `until` mean: each key by itself, and all of them together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from link.order_bench import config, data, main, ram, section, sync
from migemu.link.order_item import Item
from migemu.link.order_select import channel_fits, device_fits, event_matcher, matcher, selector, within
from migemu.scenario import Select, Until
from migemu.scenario.order import parse_numbers

HEAD, BODY, _ = section("ram", "x")
EVERYTHING: dict[str, Item] = {
    "data": data("a", 3, 1),
    "config": config("b", 9, 0),
    "ram": ram("r", 0),
    "sync": sync(2),
    "command": main("Command", "PING"),
    "mark": main("VfioWord", "CONFIG_LOAD_READY", "a/vfio", "SectionFull"),
    "flush": main("RamFlush", section="ram", within="SectionPart", flags="flush"),
    "head": HEAD,
    "body": BODY,
    "connect": Item("in", None, "Connect"),
    "message": Item("return", "main", "Message", name="SHUT"),
    "sent": Item("out", 1, "DevicePacket", (), "a/vfio", 3, frozenset({"data"})),
}


def selected(stream: str = "in", **keys: Any) -> set[str]:
    fits = matcher(Select(**keys), stream)
    return {name for name, item in EVERYTHING.items() if fits(item)}


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"channel": "main"}, {"command", "mark", "flush", "head", "body"}),
        ({"channel": "multifd"}, {"data", "config", "ram", "sync"}),
        ({"channel": "0,2"}, {"config", "ram", "sync"}),
        ({"channel": "1-"}, {"data", "sync"}),
        ({"device": "a"}, {"data", "mark"} - {"mark"}),
        ({"device": "a/vfio"}, {"data"}),
        ({"device": "?"}, {"data", "config"}),
        ({"idx": "0-3"}, {"data"}),
        ({"idx": "4-"}, {"config"}),
        ({"flag": "config"}, {"config"}),
        ({"flag": "sync"}, {"sync"}),
        ({"flag": "flush"}, {"flush"}),
        ({"record": "Connect"}, {"connect"}),
        ({"command": "PING"}, {"command"}),
        ({"mark": "CONFIG_LOAD_READY"}, {"mark"}),
        ({"section": "ram"}, {"flush", "head", "body"}),
        ({"section": "*/vfio"}, {"mark"}),
        ({"within": "SectionFull"}, {"mark", "head", "body"}),
        ({"section": "ram", "record": "Opaque"}, {"body"}),
        ({"channel": "1", "flag": "config"}, set()),
    ],
    ids=str,
)
def test_a_key_selects_what_has_it_and_all_keys_must_fit(keys: dict[str, str], names: set[str]) -> None:
    assert selected(**keys) == names


def test_nothing_asked_for_selects_everything_of_the_stream() -> None:
    assert selected("return") == {"message"}
    assert selected("out") == {"sent"}
    assert selected() == EVERYTHING.keys() - {"message", "sent"}


def test_a_message_is_no_command_of_the_same_name() -> None:
    clock = Item("return", "main", "Message", name="CLOCK")
    assert matcher(Select(message="CLOCK"), "return")(clock)
    assert not matcher(Select(command="CLOCK"), "return")(clock)


def test_nth_counts_only_what_fits_and_each_item_once() -> None:
    fits = selector(Select(flag="sync", nth="2,4-"), "in")
    told = [fits(item) for item in (sync(0), ram("x"), sync(1), sync(0), ram("y"), sync(1), sync(2))]
    assert told == [False, False, True, False, False, True, True]


@given(st.lists(st.tuples(st.integers(0, 50), st.none() | st.integers(0, 50)), min_size=1, max_size=4))
def test_written_ranges_hold_what_they_say(pairs: list[tuple[int, int | None]]) -> None:
    text = ",".join(str(a) if b is None else f"{a}-{b}" for a, b in pairs)
    ranges = parse_numbers(text)
    if any(b is not None and b < a for a, b in pairs):
        assert ranges is None, "it runs backwards: nothing could be in it"
        return
    assert ranges is not None
    for number in range(60):
        meant = any(number == a if b is None else a <= number <= b for a, b in pairs)
        assert within(ranges, number) is meant


def test_a_channel_nobody_knows_yet_is_none_of_them() -> None:
    assert not any(channel_fits(text, None) for text in ("main", "multifd", "0-"))


def test_a_device_is_known_by_its_bus_id_or_its_section() -> None:
    name = "0000:00:01.0/vfio"
    assert all(device_fits(text, name) for text in ("0000:00:01.0", name, "*:01.0", "0000:00:0?.0"))
    assert not any(device_fits(text, name) for text in ("01.0", "0000:00:02.0", "vfio"))
    assert not device_fits("*", "")


def event(until: Until, *fields: dict[str, Any]) -> list[bool]:
    fits = event_matcher(until)
    return [fits(one) for one in fields]


def test_an_event_is_known_by_its_fields() -> None:
    until = Until(event="x", device="a", idx="2-", channel="1", where="ok=false, what = data")
    right: dict[str, Any] = {
        "device": "a/vfio",
        "idx": 5,
        "channel": 1,
        "ok": False,
        "what": "data",
        "more": 1,
    }
    wrong: list[dict[str, Any]] = [
        {"device": "b/vfio"},
        {"idx": 1},
        {"channel": "main"},
        {"ok": True},
        {"what": "ram"},
    ]
    assert event(until, right, *(right | one for one in wrong)) == [True] + [False] * len(wrong)


def test_an_event_that_lacks_a_field_is_another_one() -> None:
    assert event(Until(event="x", idx="0-"), {}) == [False]
    assert event(Until(event="x", device="a"), {}) == [False]
    assert event(Until(event="x", where="a=b"), {}) == [False]


def test_the_nth_of_the_events_that_fit() -> None:
    until = Until(event="x", where="round=1", nth="2")
    told = event(until, {"round": 1}, {"round": 2}, {"round": 1}, {"round": 1})
    assert told == [False, False, True, False]
