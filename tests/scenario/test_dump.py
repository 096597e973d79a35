"""What is written loads again to the same scenario; equal scenarios have equal hashes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.scenario import (
    HANDOFFS,
    MACHINES,
    Device,
    Injected,
    Limits,
    Link,
    Migration,
    Ram,
    Scenario,
    default,
    dump_toml,
    loads,
    scenario_hash,
)
from migemu.scenario.names import STATES

RATES = st.floats(1, 1e12)
TIMES = st.floats(0, 1e5)
SIZES = st.integers(0, 2**40)
PATHS = st.text(
    st.characters(categories=["L", "N"], include_characters=" ._\"'\\"), min_size=1, max_size=20
).map(lambda name: Path("/nowhere") / name)


@st.composite
def devices(draw: st.DrawFn) -> Device:
    given_sizes: dict[str, Any] = {}
    if draw(st.booleans()):
        initial = draw(SIZES)
        given_sizes = {"precopy": True, "initial_size": initial, "precopy_size": initial + draw(SIZES)}
    return Device(
        state=draw(st.none() | PATHS),
        state_size=draw(SIZES),
        config_size=draw(st.integers(0, 2**20)),
        p2p=draw(st.booleans()),
        read_rate=draw(st.none() | RATES),
        write_rate=draw(st.none() | RATES),
        config_load_time=draw(TIMES),
        transition_times=draw(st.dictionaries(st.sampled_from(STATES), TIMES)),
        injected=Injected(
            write_error_at=draw(st.none() | SIZES), stall_at=draw(st.none() | SIZES), partial_writes=True
        ),
        **given_sizes,
    )


SCENARIOS = st.builds(
    Scenario,
    name=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20),
    seed=st.integers(0, 2**63 - 1),
    machine=st.sampled_from(MACHINES),
    handoff=st.sampled_from(HANDOFFS),
    uuid=st.none() | st.uuids(),
    dilation=st.floats(0.01, 1000),
    ram=st.builds(
        Ram,
        size=st.integers(0, 2**20).map(lambda pages: pages * 4096),
        zero_fraction=st.floats(0, 1),
        dirty_rate=RATES,
    ),
    migration=st.builds(
        Migration,
        channels=st.integers(1, 255),
        packet_size=st.integers(2**12, 2**20),
        max_bandwidth=st.none() | RATES,
    ),
    limits=st.builds(Limits, queue_total=st.none() | st.integers(2**20, 2**50), on_cap=st.just("fail")),
    link=st.builds(Link, rate=st.none() | RATES, delay=TIMES),
    device=st.lists(devices(), max_size=4),
)


@given(SCENARIOS)
def test_a_written_scenario_loads_again_to_the_same(scenario: Scenario) -> None:
    again = loads(dump_toml(scenario), environ={}, side="destination")
    assert again == scenario
    assert scenario_hash(again) == scenario_hash(scenario)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_written_as_toml(text: str) -> None:
    # model_construct goes around the check that a name is one line: the writer must hold without it
    assert tomllib.loads(dump_toml(Scenario.model_construct(name=text, device=())))["name"] == text


def test_what_is_written_is_what_people_write() -> None:
    text = dump_toml(
        Scenario(
            uuid=UUID(int=5),
            link=Link(rate=1.875e9),
            limits=Limits(queue_total=None),
            device=(Device(transition_times={"STOP": 0.005}), Device(injected=Injected(stall_at=4096))),
        )
    )
    for line in (
        'uuid = "00000000-0000-0000-0000-000000000005"',
        'rate = "15 Gbit/s"',
        'queue_total = "unlimited"',
        'transition_times = { STOP = "5 ms" }',
        'injected = { stall_at = "4 KiB", partial_writes = false, read_partial = false }',
        'packet_size = "1 MiB"',
        'downtime_limit = "300 ms"',
    ):
        assert f"\n{line}\n" in text
    assert text.count("[[device]]") == 2
    assert text.count("injected") == 1


def test_relative_paths_are_written_so_that_the_file_can_go_anywhere() -> None:
    text = dump_toml(Scenario(ram=Ram(file=Path("ram.img"))))
    assert f'file = "{Path.cwd() / "ram.img"}"' in text


@pytest.mark.parametrize(
    ("override", "same"),
    [("name=other", True), ("seed=2", False), ("device.1.write_rate=1 GB/s", False), ("channels=7", False)],
)
def test_the_hash_says_whether_scenarios_behave_alike(override: str, same: bool) -> None:  # noqa: FBT001 # a table's column
    plain, varied = default(environ={}), default(environ={}, overrides=[override])
    assert (scenario_hash(plain) == scenario_hash(varied)) is same
    assert len(scenario_hash(plain)) == 16
