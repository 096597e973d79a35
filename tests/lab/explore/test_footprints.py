"""What a destination's sections are declared to use, against a search that takes every two for a clash."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from migemu.handoff.load_ready import LoadReady
from migemu.lab.explore import Budget, Dfs, Outcome, RandomWalk, Rules, explore
from migemu.lab.explored import destination, source
from migemu.lab.stock import stock
from migemu.lab.system_faults import CANCEL, CHANNEL_FAILS, WRITE_ERROR
from migemu.vfio.reassembly import StateBuffers

if TYPE_CHECKING:
    from migemu.lab.system import Setup

DESIGNS = {
    "load-thread": ("platform.needs_interrupt_controller=false",),
    "load-ready": (),
    "load-finish": (),
    "non-iterable": (),
}


def small(design: str, buffers: int, channels: int = 2) -> Setup:
    """One device, the main channel in two reads."""
    sizes = ("devices=1", f"migration.channels={channels}", f"device.0.state_size={64 * buffers}")
    return destination(stock(f"handoff={design}", *sizes, *DESIGNS[design]), coarse=True)


def exhaust(subject: Setup, *faults: str, keep_going: bool = False) -> Outcome:
    """Every order of it, within a bound that would fail the test."""
    rules = Rules(faults=frozenset(faults), keep_going=keep_going)
    return explore(subject, Dfs(), Budget(schedules=20_000, confirmed=1), rules)


@pytest.mark.parametrize("design", DESIGNS)
def test_correct_designs_are_exhausted_without_a_violation(design: str) -> None:
    outcome = exhaust(small(design, 1))
    assert outcome.failure is None
    assert outcome.verdict == f"exhausted: {outcome.schedules} schedules"
    assert len(outcome.finals) == 1, "a VM that runs with everything in, whatever the order"


def test_packets_of_different_slots_are_tried_in_one_order() -> None:
    assert exhaust(small("load-finish", 3)).schedules == 288


@pytest.mark.parametrize("faults", [(), (WRITE_ERROR,)], ids=["calm", "write error"])
def test_no_random_schedule_ends_where_no_reduced_one_does(faults: tuple[str, ...]) -> None:
    subject = small("load-finish", 1, channels=1)
    reduced = exhaust(subject, *faults)
    rules = Rules(faults=frozenset(faults))
    sampled = explore(subject, RandomWalk(), Budget(schedules=1500, confirmed=1), rules)
    assert reduced.exhausted
    assert sampled.finals == reduced.finals
    assert len(reduced.finals) == 1 + len(faults)


def test_with_opaque_locks_there_is_more_to_try() -> None:
    subject = small("load-finish", 1, channels=1)
    most = exhaust(subject).schedules
    assert not explore(replace(subject, opaque=True), Dfs(), Budget(schedules=5 * most)).exhausted


@pytest.mark.parametrize(
    ("owner", "guard", "instead", "signature"),
    [
        (StateBuffers, "_wake_loader", lambda _self, _idx: None, ("lost-wakeup", "")),
        (LoadReady, "_wait_for_mark", lambda _self, _slot: None, ("invariant", "config-after-iterables")),
    ],
)
def test_the_reduced_search_finds_what_a_missing_guard_breaks(
    owner: type, guard: str, instead: object, signature: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, guard, instead)
    failure = exhaust(small("load-ready", 1)).failure
    assert failure is not None
    assert failure.signature == signature


@pytest.mark.parametrize("faults", [(), (CHANNEL_FAILS,), (CANCEL,)], ids=["calm", "channel", "cancel"])
def test_a_sources_hand_over_is_explored_with_its_channels_and_a_cancel(faults: tuple[str, ...]) -> None:
    subject = source(stock("devices=1", "migration.channels=1", "device.0.state_size=64"))
    outcome = explore(subject, Dfs(), Budget(schedules=4000), Rules(faults=frozenset(faults)))
    assert outcome.failure is None
    assert outcome.exhausted or faults
    ends = {final[1] for _, final in outcome.finals}
    assert ("None" in ends, len(ends) > 1) == (True, bool(faults))
