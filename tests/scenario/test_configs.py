"""The files people learn the format from."""

from __future__ import annotations

from pathlib import Path

import pytest

from migemu.scenario import default, default_text, describe, load

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_default_is_the_embedded_one() -> None:
    assert (CONFIGS / "default.toml").read_text(encoding="utf-8") == default_text()
    assert load(CONFIGS / "default.toml", environ={}) == default(environ={})


def test_the_default_is_a_workload_that_shows_everything() -> None:
    scenario = default(environ={})
    sizes = [device.state_size for device in scenario.device]
    packet = scenario.migration.packet_size
    assert len(set(sizes)) == 4
    assert all(90 * 2**20 - 1 <= size <= 103 * 2**20 and size % packet for size in sizes)
    assert all(1024 <= device.config_size <= 8192 for device in scenario.device)
    assert scenario.migration.channels == 6
    assert scenario.ram.size == 256 * 2**20
    assert scenario.ram.dirty_rate > 0
    assert any(device.precopy for device in scenario.device)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("default", "4 devices (387 MiB), 6 channels, RAM 256 MiB, load-ready, machine 11.1"),
        ("minimum", "1 device (9.54 MiB), 1 channel, RAM 16.0 MiB, load-ready, machine 11.1"),
        ("connectx7", "4 devices (400 MiB), 6 channels, RAM 512 MiB, load-ready, machine 11.1"),
        ("large", "16 devices (993 MiB), 64 channels, RAM 512 MiB, load-ready, machine 11.1"),
    ],
)
def test_each_config_is_what_its_comments_say(name: str, line: str) -> None:
    assert describe(load(CONFIGS / f"{name}.toml", environ={})) == line


def test_the_calibration_has_the_published_figures() -> None:
    scenario = load(CONFIGS / "connectx7.toml", environ={})
    assert [device.id for device in scenario.device] == [f"0000:af:00.{n}" for n in range(4)]
    for device in scenario.device:
        assert device.stop_copy_size() == 100 * 2**20
        assert device.config_load_time == 0.07
        # 100 MiB took between 204 and 217 ms in each of the four devices
        assert device.write_rate is not None
        assert 0.204 <= device.stop_copy_size() / device.write_rate <= 0.217
    assert scenario.link.rate == 100e9 / 8
    assert scenario.link.per_channel == 15e9 / 8


def test_sizes_that_only_the_source_knows_are_said_to_be_so(tmp_path: Path) -> None:
    file = tmp_path / "it.toml"
    file.write_text('dilation = 10\n[[device]]\nstate = "none"\n')
    line = describe(load(file, environ={}, side="destination"))
    assert line.startswith("1 device (size known to the source), 2 channels")
    assert line.endswith("dilation 10")
