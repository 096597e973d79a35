"""A wrong file: every mistake in one line that names the file, the key, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.errors import ConfigError
from migemu.scenario import Scenario, loads
from migemu.scenario.quantity import nearest
from migemu.scenario.reading import Origin, build

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sed = 3", 'it.toml: sed: unknown key; did you mean "seed"?'),
        ("[migraton]", 'it.toml: migraton: unknown key; did you mean "migration"?'),
        ("[migration]\nchanels = 3", 'it.toml: migration.chanels: unknown key; did you mean "channels"?'),
        ("[[device]]\ncuont = 3", 'it.toml: device.0.cuont: unknown key; did you mean "count"?'),
        ("[link]\nxyz = 3", "it.toml: link.xyz: unknown key; known: rate, per_channel, delay"),
        (
            "[[device]]\n[device.injected]\nwrite_eror_at = 3",
            'it.toml: device.0.injected.write_eror_at: unknown key; did you mean "write_error_at"?',
        ),
        ("[migration]\nchannels = 0", "it.toml: migration.channels: must be at least 1, not 0"),
        ("[migration]\nchannels = 256", "it.toml: migration.channels: must be at most 255, not 256"),
        ('[migration]\nchannels = "8"', "it.toml: migration.channels: must be a whole number, not '8'"),
        ("[migration]\nchannels = true", "it.toml: migration.channels: must be a whole number, not true"),
        (
            "[migration]\nreturn_path = 1",
            "it.toml: migration.return_path: must be true or false, not 1",
        ),
        (
            "[migration]\npacket_size = 63",
            "it.toml: migration.packet_size: 63 B is out of bounds; it must be at least 64 B",
        ),
        (
            '[migration]\npacket_size = "2 GiB"',
            "it.toml: migration.packet_size: 2 GiB is out of bounds; it must be at most 2147483647 B",
        ),
        (
            '[migration]\npacket_size = "unlimited"',
            'it.toml: migration.packet_size: "unlimited" is not a size; write it like "100 MiB"',
        ),
        ("ram = 3", "it.toml: ram: must be a table of keys, not 3"),
        ("[device]", "it.toml: device: must be written as [[device]] tables, not a table"),
        ("device = [3]", "it.toml: device.0: must be a table of keys, not 3"),
        (
            "[[device]]\ncount = 0",
            "it.toml: device.0.count: must be a whole number from 1 to 64, not 0",
        ),
        ("[ram]\nzero_fraction = nan", "it.toml: ram.zero_fraction: must be at most 1.0, not nan"),
        ("[ram]\npage_size = 8192", "it.toml: ram.page_size: must be one of 4096, not 8192"),
        ("name = 3", "it.toml: name: must be text in quotes, not 3"),
        ('name = "a\\nb"', "it.toml: name: must be printable and on one line, not 'a\\nb'"),
        ('digest = "md5"', "it.toml: digest: must be one of xxh3_128, sha256, not 'md5'"),
        (
            'handoff = "load_ready"',
            "it.toml: handoff: unknown hand-off 'load_ready'; did you mean \"load-ready\"?",
        ),
        (
            'machine = "8.2"',
            "it.toml: machine: unknown machine version '8.2'; known: 9.1, 9.2, 10.0, 10.1, 10.2, 11.0, 11.1",
        ),
        (
            'uuid = "x"',
            "it.toml: uuid: 'x' is not a UUID like 5f1c2d3e-0000-4000-8000-000000000001",
        ),
        (
            '[[device]]\ntransition_times = { STOPCPY = "1 ms" }',
            "it.toml: device.0.transition_times: unknown device state 'STOPCPY'; did you mean \"STOP_COPY\"?",
        ),
        (
            '[[device]]\nid = "a/b"',
            "it.toml: device.0.id: 'a/b' is not a device id: up to 64 of letters, digits and . : _ -",
        ),
        ("[[device]]\nstate = 3", "it.toml: device.0.state: a path must be text, not 3"),
        ("[timeouts]\ntotal = 70", 'it.toml: timeouts.total: "70" has no unit; write it like "70 ms"'),
        (
            '[timeouts]\ntotal = "0 s"',
            "it.toml: timeouts.total: 0 s is out of bounds; it must be at least 1 ms",
        ),
        (
            "seed = ",
            "it.toml: not valid TOML: Invalid value (at end of document)",
        ),
        ("a = " + "[" * 2000, "it.toml: not valid TOML: nested too deeply"),
    ],
)
def test_a_mistake_is_one_line(wrong: Callable[..., list[str]], text: str, line: str) -> None:
    assert wrong(text) == [line]


def test_a_mistake_in_a_counted_table_is_told_once_and_names_the_table(
    wrong: Callable[..., list[str]],
) -> None:
    lines = wrong("[[device]]\ncount = 3\nwirte_rate = 1\n[[device]]\nstate_size = -1")
    assert lines == [
        'it.toml: device.0.wirte_rate: unknown key; did you mean "write_rate"?',
        'it.toml: device.3.state_size (of [[device]] number 2): "-1" is negative; a size is 0 or more',
    ]


def test_a_flood_of_mistakes_has_an_end(wrong: Callable[..., list[str]]) -> None:
    lines = wrong("\n".join(f"key{i} = 1" for i in range(100)))
    assert len(lines) == 21
    assert lines[-1] == "it.toml: and 80 more"


def test_keys_of_any_characters_stay_on_their_line(wrong: Callable[..., list[str]]) -> None:
    (line,) = wrong('"a\\nb\\u0007" = 1')
    assert line.startswith("it.toml: a\\nb\\x07: unknown key")


def test_an_unquoted_machine_version_means_the_same() -> None:
    assert loads("machine = 10.0", environ={}).machine == "10.0"


@given(st.text(max_size=20))
def test_a_suggestion_is_always_something_there_is(word: str) -> None:
    known = ["channels", "STOP_COPY", "load-ready"]
    assert any(name in nearest(word, known) for name in known)


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("1 MiB")
_FIELDS = st.sampled_from(sorted({*Scenario.model_fields, "size", "state", "id", "channels", "STOP"}))
_TABLES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(_FIELDS, _TABLES, max_size=5))
def test_any_tables_make_a_scenario_or_printable_lines(tables: dict[str, Any]) -> None:
    lines = ["it: "]
    try:
        scenario = build(tables, Origin("it"), side="destination")
    except ConfigError as error:
        lines = str(error).split("\n")
    else:
        assert isinstance(scenario, Scenario)
    assert all(line.startswith("it: ") and line.isprintable() for line in lines)
