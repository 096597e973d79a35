"""The `[[order]]` tables: what is read, what is written again, what is refused and with which words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from migemu.errors import ConfigError
from migemu.scenario import dilated, dump_toml, json_schema, load, loads, scenario_hash
from migemu.scenario.order import parse_numbers
from scenario.test_schema import fits

ORDERS = sorted((Path(__file__).parents[2] / "configs" / "order").glob("*.toml"))
BASE = '[migration]\nchannels = 2\n[[device]]\nid = "vf0"\n'

WHOLE = """
[[order]]
name = "late"
type = "hold"
stream = "in"
toxicity = 0.5
required = true
select = { channel = "0,1", device = "vf*", idx = "0-3", flag = "data", nth = 2 }
attributes = { until = { event = "verify", where = "what=data, ok=true" }, timeout = "2 s" }

[[order]]
type = "sequence"
attributes = { order = [ { idx = 1 }, { idx = 0 }, { command = "START" } ] }

[[order]]
type = "corrupt"
select = { record = "Hello" }
attributes = { field = "channel", value = 7 }

[[order]]
type = "delay"
stream = "out"
attributes = { latency = "10 ms", jitter = "1 ms" }
"""


def test_what_is_written_is_read_again_as_it_was() -> None:
    scenario = loads(BASE + WHOLE, environ={})
    again = loads(dump_toml(scenario), environ={})
    assert again.order == scenario.order
    assert scenario_hash(again) == scenario_hash(scenario)
    assert [order.name for order in again.order] == ["late", "sequence-2", "corrupt-3", "delay-4"]
    assert (again.order[0].select.channel, again.order[2].attributes.value) == ("0,1", "7")


def test_only_what_a_rule_says_is_written() -> None:
    text = dump_toml(loads(BASE + WHOLE, environ={}))
    (line,) = [line for line in text.splitlines() if "sequence" in line and "attributes" not in line][:1]
    assert line == 'name = "sequence-2"'
    assert 'attributes = { order = [{ idx = "1" }, { idx = "0" }, { command = "START" }] }' in text
    assert "copies" not in text


def test_times_of_rules_are_dilated_like_all_others() -> None:
    slow = dilated(loads("dilation = 10\n" + BASE + WHOLE, environ={}))
    assert slow.order[0].attributes.timeout == 20
    assert slow.order[3].attributes.latency == pytest.approx(0.1)


def test_a_scenario_says_how_it_was_changed_by_its_rules() -> None:
    plain, ruled = loads(BASE, environ={}), loads(BASE + WHOLE, environ={})
    assert scenario_hash(plain) != scenario_hash(ruled)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("3", ((3, 3),)), ("0-4", ((0, 4),)), ("2-", ((2, None),)), ("0, 2,5-6", ((0, 0), (2, 2), (5, 6)))],
)
def test_numbers_are_one_or_several_or_without_end(text: str, ranges: object) -> None:
    assert parse_numbers(text) == ranges


@pytest.mark.parametrize("text", ["", "-1", "a", "1-2-3", "1,,2", "0x3", "99999999999"])
def test_and_nothing_else(text: str) -> None:
    assert parse_numbers(text) is None


WRONG = {
    'type = "hld"': "unknown type of order rule 'hld'; did you mean \"hold\"?",
    'type = "drop"\nselect = { flag = "cfg" }': "unknown flag 'cfg'; did you mean \"config\"?",
    'type = "drop"\nselect = { command = "SWITCHOVER" }': "unknown command 'SWITCHOVER'",
    'type = "drop"\nselect = { channels = 1 }': 'unknown key; did you mean "channel"?',
    'type = "drop"\nselect = { channel = 2 }': "there are channels 0 to 1, main and multifd",
    'type = "drop"\nselect = { channel = "mian" }': 'is not "main", "multifd", or channel ids',
    'type = "drop"\nselect = { device = "vf1" }': "no device is called 'vf1'; there is vf0",
    'type = "drop"\nselect = { idx = "x" }': "is not a number or a range",
    'type = "drop"\nselect = { idx = "5-3" }': "is not a number or a range",
    'type = "drop"\nselect = { nth = 0 }': "counts from 1",
    'type = "drop"\nselect = { message = "SHUT" }': 'messages are on the return path: stream = "return"',
    'type = "drop"\nattributes = { latency = "1 s" }': "drop has no such attribute; it takes: none",
    'type = "hold"': "hold needs the attribute until",
    'type = "delay"': "delay needs latency or jitter",
    'type = "truncate"\nattributes = { how = "half" }': "truncate needs the attribute bytes",
    'type = "corrupt"\nattributes = { value = 1, xor = 2 }': "give value or xor, not both",
    'type = "slice"\nattributes = { at = 1, size = 2 }': "give at or size, not both",
    'type = "refuse"': 'only a connection can be refused: record = "Connect"',
    'type = "drop"\nselect = { record = "Connect", channel = 1 }': "nobody knows yet which channel it is",
    'type = "slice"\nselect = { record = "Connect" }': "a connection has no bytes to slice",
    'type = "hold"\nattributes = { until = { rule = "x" } }': "no other rule is called 'x'",
    'type = "hold"\nattributes = { until = { where = "a=b" } }': "belongs to an event",
    'type = "hold"\nattributes = { until = { event = "x", where = "a" } }': "is written as name=value",
    'type = "drop"\nname = "a"\n[[order]]\ntype = "drop"\nname = "a"': 'order.0 is called "a" already',
    'type = "drop"\nname = "a b"': "must be printable and on one line",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_rule_that_can_mean_nothing_is_refused_with_its_key(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        loads(f"{BASE}[[order]]\n{text}\n", environ={})
    assert WRONG[text] in str(refused.value)
    assert "order." in str(refused.value)


@pytest.mark.parametrize("config", ORDERS, ids=lambda config: config.stem)
def test_the_example_scenarios_are_read_and_fit_the_schema(config: Path) -> None:
    assert load(config, environ={}).order
    assert fits(tomllib.loads(config.read_text()), json_schema(), json_schema())
