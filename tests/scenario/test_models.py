"""The models as a program uses them: numbers in, numbers out, nothing to forget."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from migemu.errors import ConfigError
from migemu.scenario import (
    HANDOFFS,
    Device,
    Injected,
    Limits,
    Link,
    Migration,
    Platform,
    Ram,
    Scenario,
    Timeouts,
)

MODELS = (Device, Injected, Limits, Link, Migration, Platform, Ram, Scenario, Timeouts)


def test_a_program_hands_in_plain_numbers_or_what_people_write() -> None:
    plain = Device(state_size=1000, write_rate=5e8, config_load_time=0.07)
    written = Device.model_validate(
        {"state_size": "1 kB", "write_rate": "500 MB/s", "config_load_time": "70 ms"}
    )
    assert plain == written
    assert isinstance(plain.write_rate, float)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 1e300, True, [], None])
def test_a_program_cannot_hand_in_nonsense(value: object) -> None:
    with pytest.raises(ValidationError):
        Device.model_validate({"config_load_time": value})


def test_unlimited_is_no_limit_and_only_where_there_may_be_none() -> None:
    assert Link.model_validate({"rate": "unlimited"}).rate is None
    assert Limits(queue_total=None).queue_total is None
    with pytest.raises(ValidationError):
        Migration.model_validate({"packet_size": "unlimited"})


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Scenario().seed = 2


@pytest.mark.parametrize("model", MODELS)
def test_every_field_says_what_it_is(model: type[BaseModel]) -> None:
    undescribed = [name for name, field in model.model_fields.items() if not field.description]
    assert undescribed == []


def test_the_hand_offs_are_those_of_the_debate() -> None:
    assert len(HANDOFFS) == len(set(HANDOFFS)) == 14
    assert {"load-ready", "non-iterable"} <= set(HANDOFFS)


def test_devices_are_numbered_as_on_a_pci_bus() -> None:
    devices = Scenario(device=(Device(),) * 64).device
    assert [devices[i].id for i in (0, 1, 30, 31, 63)] == [
        "0000:00:01.0",
        "0000:00:02.0",
        "0000:00:1f.0",
        "0000:01:01.0",
        "0000:02:02.0",
    ]
    assert devices[0].section_id == "0000:00:01.0/vfio"
    assert len({device.id for device in devices}) == 64


def test_what_is_kept_is_named_after_its_device() -> None:
    one, two = Scenario(device=(Device(keep=Path("a-{id}.bin")), Device(id="vf", keep=Path("{id}")))).device
    assert (one.keep, two.keep) == (Path("a-0000:00:01.0.bin"), Path("vf"))


@given(st.integers(0, 2**63 - 1))
def test_the_uuid_follows_from_the_seed_and_is_never_zero(seed: int) -> None:
    scenario = Scenario(seed=seed)
    assert scenario.migration_uuid() == Scenario(seed=seed).migration_uuid()
    assert scenario.migration_uuid() != Scenario(seed=(seed + 1) % 2**63).migration_uuid()
    assert scenario.migration_uuid().int != 0


def test_a_given_uuid_is_used_even_the_zero_one_of_a_qemu_without_uuid() -> None:
    zero = UUID(int=0)
    assert Scenario(uuid=zero).migration_uuid() == zero


def test_sizes_come_from_files_where_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"x" * 5000)
    device = Device(state=file, state_size=7, config=file, config_size=8)
    assert (device.stop_copy_size(), device.config_data_size()) == (5000, 5000)
    assert Ram(file=file).total_size() == 8192  # whole pages
    file.unlink()
    with pytest.raises(ConfigError, match=r"cannot read .*image"):
        device.stop_copy_size()


def test_sizes_are_generated_where_no_files_are_named() -> None:
    device = Device(state_size=7, config_size=0, precopy=True, initial_size=5)
    assert (device.stop_copy_size(), device.config_data_size(), device.all_precopy_size()) == (7, 0, 5)
    assert Ram(size=0).total_size() == 0


def test_states_may_be_written_in_either_case() -> None:
    assert Device(transition_times={"stop_copy": 0.02}).transition_times == {"STOP_COPY": 0.02}
