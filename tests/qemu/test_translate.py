"""A scenario in QEMU's words, and what QEMU cannot do of it."""

from __future__ import annotations

from typing import Any

import pytest

from migemu.errors import UsageError
from migemu.qemu.translate import Plan
from migemu.scenario import loads
from migemu.vfio.states import State

DEVICE = """
[[device]]
state_size = "3 MiB"
"""


def plan(text: str, version: tuple[int, ...] = (11, 1, 3), **options: Any) -> Plan:
    return Plan(loads(text, "test"), version, **options)


@pytest.mark.parametrize(
    ("asked", "version", "runs"),
    [
        ("load-ready", (11, 1), "load-ready"),
        ("load-ready", (10, 0), "load-thread"),
        ("load-thread", (11, 1), "load-thread"),
        ("main-channel", (11, 1), "main-channel"),
    ],
)
def test_the_hand_off_that_runs_is_one_this_qemu_has(asked: str, version: tuple[int, ...], runs: str) -> None:
    chosen = plan(f'handoff = "{asked}"', version)
    assert chosen.handoff == runs
    assert any("hand-off" in note for note in chosen.notes()) is (asked != runs)


def test_a_design_qemu_never_had_is_refused_with_those_it_has() -> None:
    with pytest.raises(UsageError, match="main-channel, load-thread, load-ready"):
        plan('handoff = "non-iterable"')


def test_without_multifd_all_goes_over_the_main_channel() -> None:
    chosen = plan("", multifd=False)
    assert chosen.handoff == "main-channel"
    assert chosen.capabilities()["multifd"] is False
    assert "multifd_channels" not in chosen.parameters()


def test_an_old_machine_type_has_no_device_state_over_multifd() -> None:
    chosen = plan('machine = "9.2"\nhandoff = "load-thread"')
    assert (chosen.machine(), chosen.handoff) == ("pc-q35-9.2", "main-channel")


def test_the_machine_type_is_no_newer_than_the_older_side() -> None:
    chosen = plan('machine = "11.1"', (10, 0, 13))
    assert chosen.machine() == "pc-q35-10.0"
    assert "x-migration-load-config-after-iter" not in chosen.properties()


def test_parameters_are_in_qemus_units() -> None:
    chosen = plan(
        '[migration]\nchannels = 7\ndowntime_limit = "250 ms"\nmax_bandwidth = "100 MB/s"'
    ).parameters()
    assert (chosen["multifd_channels"], chosen["downtime_limit"], chosen["max_bandwidth"]) == (7, 250, 10**8)


def test_no_bandwidth_limit_is_not_qemus_default() -> None:
    assert plan("").parameters()["max_bandwidth"] > 10**12


def test_the_switchover_does_not_wait_for_device_state_to_fit() -> None:
    """11.1 counts it as pending: 30 GiB in 300 ms needs at least 100 GiB/s."""
    state = plan('[[device]]\nstate_size = "30 GiB"').parameters()["avail_switchover_bandwidth"]
    assert state * 0.3 >= 30 * 2**30


def test_a_source_device_gives_and_a_destination_device_takes() -> None:
    chosen = plan(
        DEVICE
        + """
read_rate = "100 MB/s"
write_rate = "50 MB/s"
config_load_time = "70 ms"
transition_times = { STOP_COPY = "2 ms" }
precopy = true
initial_size = 100
precopy_size = 250
injected = { write_error_at = 10, read_partial = true }
"""
    )
    source, destination = chosen.source_device(0), chosen.destination_device(0)
    assert (source.state_size, source.read_rate, source.write_rate) == (3 << 20, 10**8, None)
    assert (source.initial_size, source.precopy_size, source.read_partial) == (100, 150, True)
    assert (destination.write_rate, destination.config_load_ns) == (5 * 10**7, 70_000_000)
    assert (destination.write_error_at, destination.state_size) == (10, 0)
    assert source.enter_ns == {State.STOP_COPY: 2_000_000}


def test_devices_have_contents_of_their_own() -> None:
    chosen = plan(DEVICE + "count = 64")
    assert len({chosen.source_device(n).seed for n in range(64)}) == 64


def test_what_qemu_does_otherwise_is_told() -> None:
    notes = " ".join(plan(DEVICE + '[link]\nrate = "1 Gbit/s"\n[migration]\npacket_size = "2 MiB"').notes())
    assert "link is not slowed down" in notes
    assert "1 MiB" in notes
    assert "config state" in notes


def test_packets_as_small_as_the_scenarios_are_had_from_the_device() -> None:
    small = plan(DEVICE + '[migration]\npacket_size = "64 KiB"')
    assert small.source_device(0).read_size == 65536
    assert not any("packets" in note for note in small.notes())
    assert plan(DEVICE).source_device(0).read_size is None


def test_a_queue_that_fails_at_its_cap_is_qemus_own() -> None:
    text = DEVICE + '[limits]\nqueue_per_device = "2 MiB"\non_cap = "fail"'
    limit = "x-migration-max-queued-buffers-size"
    assert plan(text).properties()[limit] == str(2 << 20)
    assert limit not in plan(text, (10, 0, 13)).properties()
    assert limit not in plan(text.replace('"fail"', '"pause"')).properties()
    assert limit not in plan(text, multifd=False).properties()
