"""Virtual runs: the same code, a modelled link and clock; what must hold is arithmetic, not luck."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migemu.lab.virtual import run_virtual
from migemu.scenario import HANDOFFS, load, loads
from migemu.source.channels import SendChannels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.observe.model import Result
    from migemu.source.channels import Packet

CONNECTX7 = Path(__file__).parents[3] / "configs" / "connectx7.toml"
MIB = 1 << 20

SCENARIO = """
name = "virtual"
[platform]
needs_interrupt_controller = false
interrupt_controller_load_time = "0 ms"
[ram]
size = "64 MiB"
working_set = "1 MiB"
[migration]
channels = 4
downtime_limit = "1 s"
[link]
rate = "1000 MiB/s"
[limits]
queue_per_device = "1 GiB"
queue_total = "8 GiB"
[[device]]
count = 4
state_size = "100 MiB"
config_size = "4 KiB"
write_rate = "500 MiB/s"
config_load_time = "70 ms"
"""


def migrate(*overrides: str) -> Result:
    """The result of a virtual run that ended verified."""
    outcome = run_virtual(loads(SCENARIO, overrides=overrides, environ={})).result
    assert outcome.verdict == "completed", outcome.reasons
    assert outcome.virtual
    return outcome


def downtime(*overrides: str) -> float:
    told = migrate(*overrides).times.downtime
    assert told is not None
    return told


def test_downtime_is_what_the_models_add_up_to() -> None:
    # 400 MiB over 1000 MiB/s; the last device's buffers are in a hair before that, then 4 configs in a row.
    assert downtime("handoff=load-thread") == pytest.approx(0.4 + 4 * 0.07, rel=0.02)


def test_a_device_slower_than_its_share_of_the_link_decides() -> None:
    assert downtime("handoff=load-thread", "device.*.write_rate=50 MiB/s") == pytest.approx(2.07, rel=0.15)


def test_reentrant_configs_load_in_parallel() -> None:
    serial, parallel = downtime("handoff=load-thread"), downtime("handoff=reentrant")
    assert serial - parallel == pytest.approx(3 * 0.07, rel=0.05)


def test_without_multifd_transfer_everything_is_one_after_the_other() -> None:
    alone = downtime("handoff=main-channel", "migration.packet_size=1 MiB")
    assert alone > downtime("handoff=load-thread") * 1.5


def test_a_ceiling_per_channel_makes_channels_count() -> None:
    ceiling = "link.per_channel=100 MiB/s"
    one, four = downtime(ceiling, "channels=1"), downtime(ceiling, "channels=4")
    assert (one - 0.28) / (four - 0.28) == pytest.approx(4, rel=0.1)


def test_delay_is_paid_once_a_way_and_not_once_a_packet() -> None:
    base, delayed = downtime("handoff=load-thread"), downtime("handoff=load-thread", "link.delay=20 ms")
    assert 0.02 <= delayed - base <= 0.3


@pytest.mark.parametrize("name", HANDOFFS)
def test_every_design_runs_verified(name: str) -> None:
    outcome = migrate(f"handoff={name}", "device.*.state_size=5 MiB")
    assert all(check.ok is not False for check in outcome.invariants)
    assert all(device.data_bytes == 5 * MIB for device in outcome.devices)


def test_precopy_data_goes_while_the_vm_runs() -> None:
    precopy = (
        "device.*.precopy=true",
        "device.*.initial_size=10 MiB",
        "device.*.precopy_size=40 MiB",
        "migration.switchover_ack=true",
    )
    outcome = migrate("handoff=load-thread", *precopy)
    assert all(device.precopy_bytes >= 40 * MIB for device in outcome.devices)


def test_the_same_scenario_gives_the_same_events_every_time() -> None:
    scenario = loads(SCENARIO, overrides=("device.*.state_size=3 MiB",), environ={})
    first, second = run_virtual(scenario).events, run_virtual(scenario).events
    assert first == second


def test_a_queue_cap_holds_in_virtual_time_too() -> None:
    caps = ("limits.queue_per_device=8 MiB", "limits.queue_total=32 MiB", "device.*.write_rate=20 MiB/s")
    outcome = migrate("handoff=load-thread", *caps)
    assert max(device.queued_peak or 0 for device in outcome.devices) <= 8 * MIB


def test_a_migration_that_fails_says_why() -> None:
    scenario = loads(SCENARIO, overrides=("device.0.injected.write_error_at=1 MiB",), environ={})
    outcome = run_virtual(scenario).result
    assert outcome.verdict == "failed"
    assert outcome.runnable == "source"
    assert any("Input/output error" in reason for reason in outcome.reasons)


def test_both_sides_tell_the_same_of_guest_memory() -> None:
    events = run_virtual(loads(SCENARIO, overrides=("device.*.state_size=1 MiB",), environ={})).events

    def told(side: str, kind: str) -> list[int]:
        packets = (event for event in events if event.side == side and event.get("kind") == kind)
        return sorted(event.get("idx") for event in packets)

    assert told("source", "ram") == told("destination", "ram") != []
    assert len(told("source", "sync")) == len(told("destination", "sync")) > 0


def one_after_the_other(self: SendChannels, make: Callable[[int], Packet]) -> Iterator[int]:
    """A source that thinks of a channel's SYNC when the one before it is out: its data crosses them."""
    for channel in range(len(self)):
        self._threads.sleep(0.03)
        with self._mutex:
            self._owed.add(channel)
            self._wait(self._written, lambda: self._may_take(owed=True), "a SYNC")
            self._busy[self._take(owed=True)] = packet = make(channel)
            self._owed.clear()
        self._outlets[channel].start(packet)
        yield channel


def test_receivers_that_wait_for_each_other_are_a_finding_and_not_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One receive thread stands at its SYNC, the other waits for a buffer that is behind it."""
    crossing = ("handoff=recv-loads", "channels=2", "devices=8", "device.*.transition_times.STOP_COPY=0")
    scenario = load(CONNECTX7, overrides=crossing, environ={})
    assert run_virtual(scenario).result.verdict == "completed"
    monkeypatch.setattr(SendChannels, "send_on_each", one_after_the_other)
    outcome = run_virtual(scenario).result
    assert outcome.verdict == "failed"
    assert "invariant ends: the receive threads wait for each other" in outcome.reasons[0]
    assert outcome.runnable == "source"
