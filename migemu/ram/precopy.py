"""When to stop the VM: the decision QEMU takes in ``migration_iteration_run``, as arithmetic.

After each round over what is dirty the source knows how many bytes the link took in how long. From that
follows the threshold, the bytes that could be sent within the downtime limit::

    threshold = bandwidth x downtime limit          (QEMU: threshold_size)

The rule, as QEMU has it since 10.1: switch over when ``pending <= threshold`` and, where the destination has
to acknowledge, it did. Up to 10.0 it was ``<``, or nothing pending, which differs only at equality.

What is pending is asked twice, as in QEMU. The cheap *estimate* is what could still be sent while the VM
runs: dirty RAM, and of devices in PRE_COPY their initial and dirty bytes. If that is over the threshold,
there is no point in asking more. The *exact* figure is what would be left to send after a stop. It is not
the estimate plus something: a device's stop-copy size already holds everything its pre-copy has not sent,
and adding the two delayed switchover, or put it off for ever (QEMU 3b5948f808e3, October 2024, 9.2).

Two things are not QEMU's, because QEMU may go on for ever there and a laboratory's runs have to end:

* A round that sent next to nothing does not lower the bandwidth. QEMU measures such rounds too, and 11.1 with
  clean RAM and a large device without pre-copy has been seen to iterate on with a bandwidth near zero.
* When what can be sent while running has come under the threshold but what cannot (the devices' stop-copy
  data, the *floor*) is over it, further rounds cannot help. The decision then is to switch over, with the
  reason `FLOOR` and an expected downtime above the limit, unless `wait_for_limit` asks for QEMU's patience.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MIN_SAMPLE = 1 << 20
"""Bytes a round must have sent to count as a measurement of the link: with less, it measured the barrier."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What RAM, or one device, still has to send. All in bytes."""

    initial: int = 0
    """``initial_bytes`` of VFIO_MIG_GET_PRECOPY_INFO; 0 outside PRE_COPY and for RAM."""
    dirty: int = 0
    """``dirty_bytes`` of the same; for RAM the dirty pages."""
    stop_copy: int = 0
    """All that is left if the VM stopped now (VFIO_DEVICE_FEATURE_MIG_DATA_SIZE), initial and dirty bytes
    included; for RAM the dirty pages once more."""

    @classmethod
    def of_ram(cls, dirty: int) -> Pending:
        """RAM with `dirty` bytes of dirty pages."""
        return cls(dirty=dirty, stop_copy=dirty)

    @property
    def estimate(self) -> int:
        """What could be sent before the stop (QEMU: state_pending_estimate)."""
        return self.initial + self.dirty

    @property
    def exact(self) -> int:
        """What would be sent after a stop now (QEMU: state_pending_exact)."""
        return self.stop_copy


class Reason(StrEnum):
    """Why the source stops the VM."""

    CONVERGED = "converged"
    """What is pending fits the downtime limit."""
    FLOOR = "floor"
    """What cannot be sent while the VM runs is more than the limit allows; no round can change that."""
    MAX_ROUNDS = "max-rounds"
    """The rounds allowed are used up."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after a round, and the figures it rests on."""

    switch: bool
    """Stop the VM now."""
    reason: Reason | None
    """Why it should be stopped; None to do another round."""
    pending: int
    """Bytes pending: the estimate while that is over the threshold, else the exact figure."""
    threshold: int
    """Bytes that fit the downtime limit."""
    bandwidth: float | None
    """Bytes/s reckoned with; None before the first measurement."""
    expected_downtime: float | None
    """Seconds to send all that a stop now would leave; None while the bandwidth is not known."""

    @property
    def waiting_for_ack(self) -> bool:
        """Only the destination's switchover ack is missing."""
        return self.reason is not None and not self.switch


class Estimator:
    """Measures rounds and decides on switchover.

    Args:
        downtime_limit: seconds the VM may stand still.
        max_rounds: rounds after which the VM is stopped whatever is pending; None = no limit.
        switchover_bandwidth: bytes/s to reckon with instead of the measured ones (QEMU:
            avail-switchover-bandwidth), for links that give a migration more after the stop than before.
        wait_for_limit: iterate on also when only the devices' stop-copy data is over the limit, as QEMU does.
    """

    def __init__(
        self,
        downtime_limit: float,
        *,
        max_rounds: int | None = None,
        switchover_bandwidth: float | None = None,
        wait_for_limit: bool = False,
    ) -> None:
        self.downtime_limit = downtime_limit
        self.max_rounds = max_rounds
        self.rounds = 0
        """Rounds measured so far."""
        self._fixed = switchover_bandwidth
        self._measured: float | None = None
        self._wait_for_limit = wait_for_limit

    def round(self, sent: int, seconds: float) -> None:
        """Take note of a round: `sent` bytes were on their way for `seconds`, barrier included."""
        self.rounds += 1
        if seconds > 0 and sent > 0 and (sent >= MIN_SAMPLE or self._measured is None):
            self._measured = sent / seconds

    @property
    def bandwidth(self) -> float | None:
        """Bytes/s reckoned with: the given ones, or those of the last round that measured the link."""
        return self._fixed if self._fixed is not None else self._measured

    @property
    def threshold(self) -> int:
        """Bytes that fit the downtime limit; 0 while the bandwidth is not known."""
        return int((self.bandwidth or 0.0) * self.downtime_limit)

    def expected_downtime(self, pending: int) -> float | None:
        """Seconds to send `pending` bytes; None while the bandwidth is not known."""
        if pending == 0:
            return 0.0
        bandwidth = self.bandwidth
        return pending / bandwidth if bandwidth else None

    def decide(self, pending: Iterable[Pending], *, can_switchover: bool = True) -> Decision:
        """Whether to stop the VM, given what RAM and each device have pending.

        Args:
            pending: one for RAM, one for each device.
            can_switchover: the destination has acknowledged, or does not have to. Without it the VM is never
                stopped, not even after the last round; how long to wait for it is the caller's to bound.
        """
        parts = tuple(pending)
        estimate = sum(part.estimate for part in parts)
        exact = sum(part.exact for part in parts)
        reason = self._reason(estimate, exact)
        return Decision(
            switch=reason is not None and can_switchover,
            reason=reason,
            pending=estimate if estimate > self.threshold else exact,
            threshold=self.threshold,
            bandwidth=self.bandwidth,
            expected_downtime=self.expected_downtime(exact),
        )

    def _reason(self, estimate: int, exact: int) -> Reason | None:
        if estimate <= self.threshold:
            if exact <= self.threshold:
                return Reason.CONVERGED
            if exact - estimate > self.threshold and self.rounds and not self._wait_for_limit:
                return Reason.FLOOR
        if self.max_rounds is not None and self.rounds >= self.max_rounds:
            return Reason.MAX_ROUNDS
        return None
