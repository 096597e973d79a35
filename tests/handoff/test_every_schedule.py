"""Every design under the controlled scheduler: the same classes, orders no real run would meet.

No wait has a limit here, so one that nothing ends is found as what it is, and every wake-up may be spurious.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handoff.harness import A, B, Destination, Setting
from migemu.errors import CancelledMigrationError
from migemu.handoff import HANDOFFS
from migemu.lab.explore import SPURIOUS_WAKEUP, Budget, RandomWalk, Rules, explore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.lab.explore import Outcome
    from migemu.threads.controlled import ControlledThreads

Packet = tuple[str, int]
CONFIG = 2
"""The idx behind two data buffers."""

IN_ORDER: tuple[Sequence[Packet], ...] = (
    [(A, 0), (B, 1), (A, CONFIG)],
    [(B, 0), (A, 1), (B, CONFIG)],
)
CROSSED: tuple[Sequence[Packet], ...] = (
    [(A, 1), (B, 0), (A, CONFIG)],
    [(B, 1), (A, 0), (B, CONFIG)],
)
"""Maciej S. Szmigiero's example: each channel's second packet is the one the other's first waits for."""


class Migration:
    """One destination; the main channel and each multifd channel deliver from threads of their own."""

    def __init__(self, design: str, channels: Sequence[Sequence[Packet]], *, cancel: bool = False) -> None:
        self._design = design
        self._channels = channels
        self._cancel = cancel

    def build(self, threads: ControlledThreads) -> None:
        """Start the incoming thread and the deliveries."""
        self._one = Destination(self._design, Setting(patience=None), threads)
        self._one.core.start(self._judge)
        threads.spawn("main channel", self._main_channel)
        if self._cancel:
            error = CancelledMigrationError("by a person")
            threads.spawn("cancel", lambda: self._one.core.failed(error))
        if self._one.design.data == "multifd":
            for number in range(len(self._channels)):
                threads.spawn(f"channel {number}", lambda number=number: self._deliver(number))  # type: ignore[misc]  # a default binds the loop variable

    def _judge(self) -> None:
        """At the incoming thread's end: it must have been a good one, unless it was cancelled."""
        core = self._one.core
        if self._cancel and isinstance(core.abort.error, CancelledMigrationError):
            return
        assert core.running, core.abort.error
        assert all(slot.device.config_digest for slot in core.machine.slots.values())

    def _main_channel(self) -> None:
        self._one.setup()
        self._one.switchover()
        self._one.rest()

    def _deliver(self, channel: int) -> None:
        for device, idx in self._channels[channel]:
            if idx < CONFIG:
                self._one.data(channel, device, idx)
            else:
                self._one.last(channel, device)


def explored(
    design: str,
    channels: tuple[Sequence[Packet], ...],
    schedules: int,
    faults: frozenset[str] = frozenset(),
    *,
    cancel: bool = False,
) -> Outcome:
    return explore(
        lambda: Migration(design, channels, cancel=cancel),
        RandomWalk(),
        Budget(schedules=schedules),
        rules=Rules(faults=faults, releases=True),
    )


@pytest.mark.parametrize("faults", [frozenset(), frozenset({SPURIOUS_WAKEUP})], ids=["calm", "spurious"])
@pytest.mark.parametrize("design", HANDOFFS)
def test_a_design_completes_in_any_order(design: str, faults: frozenset[str]) -> None:
    outcome = explored(design, IN_ORDER, 150, faults)
    assert outcome.failure is None
    assert outcome.schedules == 150


@pytest.mark.parametrize("design", [name for name in HANDOFFS if name != "recv-loads"])
def test_crossed_channels_hold_up_nobody_else(design: str) -> None:
    assert explored(design, CROSSED, 100).failure is None


@pytest.mark.parametrize("design", HANDOFFS)
def test_a_cancel_at_any_moment_lets_every_thread_end(design: str) -> None:
    """Also one that waits for a lock, a semaphore, a mark or its turn (B5)."""
    assert explored(design, CROSSED, 200, cancel=True).failure is None


def test_recv_loads_is_found_to_wait_for_ever_when_channels_cross() -> None:
    """...within a few schedules; with patience it ends by itself, see test_receivers_load."""
    outcome = explored("recv-loads", CROSSED, 100)
    assert outcome.failure is not None
    waits = "\n".join(outcome.failure.waits)
    assert f"load_bufs_buffer_ready {A}" in waits
    assert f"load_bufs_buffer_ready {B}" in waits
