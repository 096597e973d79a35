"""The running phase: rounds over dirty RAM and devices' pre-copy data until a stop is cheap enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import PeerTimeoutError
from migemu.ram import Estimator, Pending
from migemu.ram.guest import PAGE_SIZE
from migemu.vfio.states import PRECOPYING
from migemu.wire import vfio as words

if TYPE_CHECKING:
    from migemu.ram import Decision
    from migemu.source.migration import Parts
    from migemu.vfio.save import SaveDevice

ACK_POLL = 0.01
"""Seconds between looks for the switchover ack when nothing else is to be sent."""


class Precopy:
    """Rounds, each closed by a barrier, each followed by the decision QEMU takes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        migration = parts.scenario.migration
        self._estimator = Estimator(migration.downtime_limit, max_rounds=migration.max_rounds)
        self._needs_ack = migration.switchover_ack and any(d.model.precopy for d in parts.vm.devices)
        self._said_initial: set[str] = set()
        self._ack_awaited = parts.threads.now()

    def run(self) -> None:
        """Iterate until the VM should stop."""
        while not self._round().switch:
            self._parts.abort.check()

    def _round(self) -> Decision:
        parts = self._parts
        started = parts.threads.now()
        before = parts.main.bytes_sent
        device_bytes = sum(self._iterate(number, d) for number, d in enumerate(parts.vm.devices))
        done = parts.ram.send_dirty(paced=True)
        parts.ram.sync()
        parts.stream.ram_barrier(last=False)
        parts.channels.drain()
        sent = done.bytes + max(parts.main.bytes_sent - before, device_bytes)
        self._estimator.round(sent, parts.threads.now() - started)
        decision = self._decide()
        parts.threads.point(
            "precopy_round",
            round=self._estimator.rounds,
            pages=done.pages,
            zero=done.zero,
            bytes=done.bytes,
            pending=decision.pending,
            threshold=decision.threshold,
            bandwidth=decision.bandwidth,
            reason=decision.reason,
        )
        self._wait_for_ack(decision)
        return decision

    def _decide(self) -> Decision:
        ram = Pending.of_ram(self._parts.ram.dirty.count() * PAGE_SIZE)
        devices = [_pending(device) for device in self._parts.vm.devices]
        acked = not self._needs_ack or self._parts.returns.acks > 0
        return self._estimator.decide([ram, *devices], can_switchover=acked)

    def _wait_for_ack(self, decision: Decision) -> None:
        """Only the ack is missing: another round would be an empty one, though it would pass for progress.

        Raises:
            PeerTimeoutError: nothing but the ack has been missing for as long as silence may last.
        """
        now, patience = self._parts.threads.now(), self._parts.patience
        if not decision.waiting_for_ack:
            self._ack_awaited = now
            return
        if now - self._ack_awaited > patience.seconds:
            told = f"no SWITCHOVER_ACK came within {patience.seconds:g} s ({patience.limit})"
            raise PeerTimeoutError(told, phase="active")
        self._parts.threads.sleep(ACK_POLL)

    def _iterate(self, number: int, device: SaveDevice) -> int:
        """One PART of a device in pre-copy: what it has now, on the main channel."""
        if device.state not in PRECOPYING:
            return 0
        parts, sent = self._parts, 0
        budget = sum(device.precopy_info())  # what it dirties meanwhile belongs to the next round
        parts.stream.device_part_begin(number)
        while sent < budget:
            payload = device.read_precopy(min(budget - sent, parts.scenario.migration.packet_size))
            if payload is None:
                break
            sent += len(payload.view)
            parts.stream.device_data(payload.view)
            payload.release()
        parts.stream.device_section_end(number, self._last_word(device))
        parts.threads.point("vfio_save_iterate", device=device.model.name, bytes=sent)
        return sent

    def _last_word(self, device: SaveDevice) -> int:
        """INIT_DATA_SENT, once, when the initial bytes are out; it ends the section by itself."""
        name = device.model.name
        if not self._needs_ack or name in self._said_initial or device.precopy_info()[0]:
            return words.END_OF_STATE
        self._said_initial.add(name)
        return words.INIT_DATA_SENT


def _pending(device: SaveDevice) -> Pending:
    """What the device still has to send (VFIO: state_pending_estimate and state_pending_exact)."""
    initial, dirty = device.precopy_info() if device.state in PRECOPYING else (0, 0)
    return Pending(initial, dirty, device.stop_copy_size())
