from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from migemu.observe.checks import CHECKS
from migemu.observe.result import RunEnd

if TYPE_CHECKING:
    from migemu.observe.events import Event
    from observe.story import Story

CONFIG_START = "vfio_load_device_config_state_start"
LOAD_START = "vfio_load_state_device_buffer_load_start"
FIRST = "0000:00:01.0/vfio"


def verdicts(story: Story, end: RunEnd | None = None) -> dict[str, bool | None]:
    return {invariant.name: invariant.ok for invariant in story.result(end).invariants}


def detail(story: Story, name: str) -> str:
    return next(invariant.detail for invariant in story.result().invariants if invariant.name == name)


def altered(story: Story, name: str, **fields: Any) -> Story:
    """Change fields of the first device's first `name`."""
    todo = [name]

    def change(event: Event) -> Event:
        if event.event not in todo or event.get("device", FIRST) != FIRST:
            return event
        todo.clear()
        return replace(event, fields=event.fields | fields)

    return story.spoil(change)


def test_a_good_run_keeps_every_invariant_that_can_be_seen(story: Story) -> None:
    seen = verdicts(story)
    assert list(seen) == list(CHECKS)
    assert seen.pop("lock-order") is None
    assert set(seen.values()) == {True}


def test_buffers_loaded_out_of_order_are_named(story: Story) -> None:
    altered(story, LOAD_START, idx=1)
    assert story.broken() == ["data-in-order"]
    assert detail(story, "data-in-order") == f"device {FIRST}: idx 1 was loaded where idx 0 was due"


def test_a_buffer_that_was_saved_and_never_loaded_is_missed(story: Story) -> None:
    def last_of_first(event: Event) -> Event | None:
        last = event.event.startswith("vfio_load_state_device_buffer_load") and event.get("idx") == 2
        return None if last and event.get("device") == FIRST else event

    story.spoil(last_of_first)
    assert story.broken() == ["data-in-order"]
    assert detail(story, "data-in-order") == f"device {FIRST}: 3 buffers were saved, 2 loaded"


def test_a_buffer_still_on_its_way_when_a_run_fails_is_not_disorder(story: Story) -> None:
    story.without("vfio_load_state_device_buffer_load_end", "vmstate_downtime_checkpoint")
    assert verdicts(story)["data-in-order"] is not False


def test_a_difference_says_what_differs(story: Story) -> None:
    altered(story, "verify", ok=False, detail="source 1a, destination 2b")
    assert story.broken() == ["data-intact"]
    assert detail(story, "data-intact") == f"{FIRST} data differs, source 1a, destination 2b"


def test_a_device_nobody_compared_is_not_intact(story: Story) -> None:
    story.spoil(lambda event: None if event.event == "verify" and event.get("device") == FIRST else event)
    assert detail(story, "data-intact") == f"device {FIRST} was never compared"


def test_a_peer_without_digests_leaves_intact_unchecked(story: Story) -> None:
    assert verdicts(story.without("verify"))["data-intact"] is None


def test_config_before_the_last_data_buffer_is_early_by_so_much(story: Story) -> None:
    story.move(CONFIG_START, -25)
    assert "config-last" in story.broken()
    assert detail(story, "config-last").endswith("config was loaded 4.0 ms before data idx 2 was in")


def test_config_loaded_twice_is_not_last(story: Story) -> None:
    story.dst(160, CONFIG_START, device=FIRST)
    assert detail(story, "config-last") == f"device {FIRST}: config was loaded 2 times"


def test_config_before_the_interrupt_controller_breaks_where_the_platform_needs_it(story: Story) -> None:
    story.move("interrupt_controller_loaded", 4)
    assert story.broken() == ["config-after-iterables"]
    story.scenario["platform"] = {"needs_interrupt_controller": False}
    assert story.broken() == []


@pytest.mark.parametrize(
    ("absent", "why"),
    [
        ("interrupt_controller_loaded", "no interrupt controller was loaded"),
        (CONFIG_START, "no config was loaded"),
    ],
)
def test_without_both_there_is_no_order_to_judge(story: Story, absent: str, why: str) -> None:
    story.without(absent)
    assert verdicts(story)["config-after-iterables"] is None
    assert detail(story, "config-after-iterables") == why


def test_a_lock_held_by_another_thread_does_not_count(story: Story) -> None:
    def elsewhere(event: Event) -> Event:
        return replace(event, thread="incoming") if event.event == "bql_held" else event

    assert story.spoil(elsewhere).broken() == ["bql-for-config"]


def test_an_earlier_hold_by_the_same_thread_does_not_count(story: Story) -> None:
    story.without("bql_held")
    for device in story.devices:
        story.dst(150, "bql_held", f"load {device}", holder=f"load {device}", seconds=0.040)
    assert story.broken() == ["bql-for-config"]


def test_a_hold_told_late_still_counts(story: Story) -> None:
    """The thread may be preempted between giving the lock back and saying so."""

    def late(event: Event) -> Event:
        told = replace(event, t=event.t + 0.002, fields=event.fields | {"ago": 0.002})
        return told if event.event == "bql_held" else event

    assert story.spoil(late).broken() == []


def test_config_without_the_lock_names_the_thread(story: Story) -> None:
    altered(story, "bql_held", seconds=0.004)
    assert story.broken() == ["bql-for-config"]
    assert detail(story, "bql-for-config") == f"device {FIRST}: thread load {FIRST} did not hold it"


def test_a_reentrant_design_needs_no_lock_for_config(story: Story) -> None:
    story.scenario["handoff"] = "reentrant"
    assert verdicts(story.without("bql_held"))["bql-for-config"] is None


def test_a_config_load_too_short_for_the_account_is_not_judged(story: Story) -> None:
    """Holds under a millisecond are not told, so their absence proves nothing."""
    story.without("bql_held").move("vfio_load_device_config_state_end", -8.5)
    story.move("vfio_load_device_config_state_end", -8.5, device=1)
    assert verdicts(story)["bql-for-config"] is None


def test_a_vm_started_before_a_config_was_in(story: Story) -> None:
    story.move("vfio_load_device_config_state_end", 30)
    assert "start-after-all" in story.broken()
    assert detail(story, "start-after-all").endswith("config was in 8.0 ms after the VM was started")


def test_a_vm_started_without_a_config_it_should_have(story: Story) -> None:
    story.spoil(lambda e: None if e.get("device") == FIRST and "config_state" in e.event else e)
    assert detail(story, "start-after-all") == f"device {FIRST}: the VM was started without its config"


def test_two_running_vms_are_caught_by_the_overlap(untold: Story) -> None:
    untold.src(0, "vm_state", running=True, runnable=True)
    untold.dst(50, "vm_state", running=True, runnable=True)
    untold.src(70, "vm_state", running=False, runnable=False)
    assert untold.without("clock_offset").broken() == []  # without a measured clock both are seconds apart
    untold.src(1, "clock_offset", offset=5.0, rtt=0.0002)
    assert untold.broken() == ["one-vm-runs"]
    assert detail(untold, "one-vm-runs") == "both VMs ran for 20.0 ms"


def test_an_overlap_within_the_clocks_error_is_no_overlap(untold: Story) -> None:
    untold.src(1, "clock_offset", offset=5.0, rtt=0.050)
    untold.src(2, "vm_state", running=True, runnable=True)
    untold.dst(50, "vm_state", running=True, runnable=True)
    untold.src(70, "vm_state", running=False, runnable=False)
    assert untold.broken() == []


@pytest.mark.parametrize(("able", "complaint"), [(True, "both sides may run"), (False, "no side may run")])
def test_in_the_end_exactly_one_side_can_run(untold: Story, *, able: bool, complaint: str) -> None:
    untold.src(1, "vm_state", running=False, runnable=able)
    untold.dst(2, "vm_state", running=False, runnable=able)
    assert detail(untold, "one-vm-runs") == f"{complaint} in the end"


def test_a_process_that_had_to_be_ended_did_not_end(story: Story) -> None:
    hung = RunEnd(1, exits={"source": 1, "destination": None})
    assert verdicts(story, hung)["ends"] is False
    assert verdicts(story, RunEnd(1, exits={"source": 1, "destination": -9}))["ends"] is True
    assert verdicts(story, RunEnd())["ends"] is None


def test_a_queue_may_reach_its_cap_and_not_pass_it(story: Story) -> None:
    story.scenario["limits"] = {"queue_per_device": 1024**2}
    assert story.broken() == []
    story.scenario["limits"] = {"queue_per_device": 1024**2 - 1}
    assert story.broken() == ["queue-bounded"]
    assert detail(story, "queue-bounded") == f"peak 1048576 of 1048575 bytes, device {FIRST}"


def test_what_the_running_code_saw_outweighs_what_was_computed(story: Story) -> None:
    story.dst(120, "invariant", name="config-last", ok=False, device=FIRST, detail="loaded on arrival")
    story.dst(120, "invariant", name="lock-order", ok=True, detail="12 locks watched")
    story.dst(120, "invariant", name="house-rule", ok=True)
    seen = verdicts(story)
    assert story.broken() == ["config-last"]
    assert seen["lock-order"] is seen["house-rule"] is True
    lines = [invariant.line() for invariant in story.result().invariants]
    assert f"config-last: BROKEN, device {FIRST}: loaded on arrival" in lines
    assert "lock-order: ok, 12 locks watched" in lines
    assert "house-rule: ok" in lines
