"""Command line over environment over file over defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import ConfigError
from migemu.scenario import Scenario, apply_overrides, default, loads, with_overrides

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "[migration]\nchannels = 3\n[[device]]\ncount = 4\nstate_size = 10\n"


def load(*overrides: str, **environ: str) -> Scenario:
    return loads(FILE, overrides=overrides, environ=environ)


def test_each_layer_wins_over_the_one_below() -> None:
    name = "MIGEMU_MIGRATION__CHANNELS"
    assert loads("", environ={}).migration.channels == 2
    assert load().migration.channels == 3
    assert load(**{name: "4"}).migration.channels == 4
    assert load(**{name: "4", "MIGEMU_SET__MIGRATION__CHANNELS": "5"}).migration.channels == 5
    both = {"MIGEMU_TIMEOUTS__TOTAL": "4 s", "MIGEMU_SET__TIMEOUTS__TOTAL": "5 s"}
    assert load(**both).timeouts.total == 5
    assert load("migration.channels=6", "migration.channels=7", **{name: "4"}).migration.channels == 7


def test_the_environment_reaches_every_key() -> None:
    scenario = load(
        MIGEMU_SET__SEED="9",
        MIGEMU_DEVICE__ALL__P2P="false",
        MIGEMU_DEVICE__1__WRITE_RATE="1 GB/s",
        MIGEMU_DEVICE__0__TRANSITION_TIMES__STOP_COPY="20 ms",
        MIGEMU_LOG="debug",  # no double underscore: not a setting
        OTHER__SEED="3",
    )
    assert scenario.seed == 9
    assert [device.p2p for device in scenario.device] == [False] * 4
    assert [device.write_rate for device in scenario.device] == [None, 1e9, None, None]
    assert scenario.device[0].transition_times == {"STOP_COPY": 0.02}


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("device.2.write_rate=500 MB/s", "write_rate", 5e8),
        ('device.2.write_rate = "500 MB/s"', "write_rate", 5e8),
        ("device.2.p2p=false", "p2p", False),
        ("device.2.id=vf=2", None, None),
        ("device.2.id=vf-2", "id", "vf-2"),
        ("device.2.state_size=4096", "state_size", 4096),
        ('device.2.transition_times={ STOP = "1 ms" }', "transition_times", {"STOP": 0.001}),
        ("device.2.transition_times.stop=1 ms", "transition_times", {"STOP": 0.001}),
        ("device.2.write_rate=unlimited", "write_rate", None),
    ],
)
def test_values_are_toml_or_plain_text(override: str, key: str | None, value: object) -> None:
    if key is None:
        with pytest.raises(ConfigError, match="not a device id"):
            load(override)
        return
    scenario = load(override)
    assert getattr(scenario.device[2], key) == value
    assert getattr(scenario.device[1], key) != value or value is None


def test_a_star_is_every_device_and_a_later_setting_refines_it() -> None:
    sizes = [device.state_size for device in load("device.*.state_size=7", "device.1.state_size=8").device]
    assert sizes == [7, 8, 7, 7]


def test_short_keys_for_what_sweeps_vary() -> None:
    scenario = load("device.5.state_size=7", "devices=6", "channels=9")
    assert scenario.migration.channels == 9
    assert [device.state_size for device in scenario.device] == [10] * 5 + [7]  # devices goes first
    assert load("devices=0").device == ()
    assert len({device.id for device in default(environ={}, overrides=["devices=64"]).device}) == 64


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("channels", "--set 'channels': write key=value"),
        ("=3", "--set '=3': write key=value"),
        ("a..b=3", "--set 'a..b=3': write key=value"),
        ("device.4.p2p=true", "--set device.4.p2p: there is no device.4; there is device.0 to device.3"),
        ("device.x.p2p=true", "--set device.x.p2p: there is no device.x"),
        ("migration.channels.x=1", "--set migration.channels.x: migration.channels is not a table"),
        ("device.0.state_size.x=1", "--set device.0.state_size.x: device.0.state_size is not a table"),
        ("migraton.channels=1", '--set migraton.channels: migraton: unknown key; did you mean "migration"?'),
        ("migration.chanels=1", '--set migration.chanels: unknown key; did you mean "channels"?'),
        ("channels=0", "--set channels: must be at least 1, not 0"),
        ("devices=65", "--set devices: must be a whole number from 0 to 64, not 65"),
        ("device.*.p2p=3", "--set device.*.p2p: must be true or false, not 3"),
        ("device.0.count=3", "--set device.0.count: count repeats a [[device]] table of a file"),
        ("device=3", "--set device: must be written as [[device]] tables, not 3"),
        ("limits.queue_total=1 kB", "--set limits.queue_total: 1 kB is less than one packet"),
        ("device.0.transition_times.stop=3", '--set device.0.transition_times.stop: "3" has no unit'),
        ("seed=1\nname = 'x'", "--set seed: must be a whole number"),  # never a second key
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    wrong: Callable[..., list[str]], override: str, says: str
) -> None:
    (line,) = wrong(FILE, override)
    assert line.startswith(says)


def test_a_wrong_variable_is_named(wrong: Callable[..., list[str]]) -> None:
    assert wrong(FILE, MIGEMU_MIGRATION__CHANELS="3") == [
        'MIGEMU_MIGRATION__CHANELS: unknown key; did you mean "channels"?'
    ]
    assert wrong(FILE, MIGEMU_LINK__DELAY="3") == [
        'MIGEMU_LINK__DELAY: "3" has no unit; write it like "70 ms"'
    ]


def test_what_the_file_says_is_not_blamed_on_an_override(wrong: Callable[..., list[str]]) -> None:
    (line,) = wrong('[ram]\nsize = "1 MiB"\nworking_set = "1 MiB"', "ram.size=0")
    assert line.startswith("it.toml: ram.working_set: ")


def test_of_two_settings_the_more_precise_one_is_blamed(wrong: Callable[..., list[str]]) -> None:
    (line,) = wrong(FILE, 'device.0.injected={stall_at="1 MiB"}', "device.0.injected.stall_at=x")
    assert line.startswith('--set device.0.injected.stall_at: "x" is not a size')


def test_repeated_devices_repeat_no_mistake(wrong: Callable[..., list[str]]) -> None:
    text = "[[device]]\n[[device]]\nwirte_rate = 1"
    assert wrong(text, "devices=6") == wrong(text)


def test_tables_can_be_overridden_without_loading_them() -> None:
    raw = {"device": [{"count": 2, "state_size": 3}]}
    changed = apply_overrides(raw, ["device.1.state_size=1 KiB", "migration.channels=8"])
    assert changed == {
        "device": [{"state_size": 3}, {"state_size": "1 KiB"}],
        "migration": {"channels": 8},
    }
    assert raw == {"device": [{"count": 2, "state_size": 3}]}
    with pytest.raises(ConfigError, match=r"device\.0\.count"):
        apply_overrides({"device": [{"count": 65}]}, [])


def test_a_loaded_scenario_can_be_varied() -> None:
    scenario = load()
    varied = with_overrides(scenario, ["devices=2", "device.0.config_load_time=10 ms"])
    assert [device.config_load_time for device in varied.device] == [0.01, 0]
    assert varied.migration == scenario.migration
    assert len(scenario.device) == 4
