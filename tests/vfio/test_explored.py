"""Every order of a small reassembly on controlled threads, and guards whose absence that search finds."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import pytest

from migemu.errors import DeviceError, MigemuError
from migemu.lab.explore import Budget, Dfs, Rules, explore
from migemu.vfio.content import Loose
from migemu.vfio.load import LoadDevice
from migemu.vfio.model import DeviceModel, Platform
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.slots import Loadable, Slots
from migemu.vfio.virtual import VirtualDigest, VirtualSink, VirtualSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from migemu.lab.explore import Outcome
    from migemu.threads.api import Threads

NAME = "0000:00:01.0/vfio"


class Reassembly:
    """Two receivers with two packets each, one loader; then an abort from elsewhere, if wanted."""

    rows: tuple[tuple[int, ...], ...] = ((1, 2), (0, 3))
    buffers_type: type[StateBuffers] = StateBuffers
    aborted = False
    channels_end = True

    def build(self, threads: Threads) -> None:
        self.bql = threads.lock("BQL")
        self.buffers = self.buffers_type(NAME, threads)
        ready = Platform(needs_interrupt_controller=False)
        self.device = LoadDevice(DeviceModel(NAME), VirtualSink(), threads, self.bql, ready, VirtualDigest)
        self.device.load_setup()
        self.errors: list[str] = []
        self.open = len(self.rows)
        for number, row in enumerate(self.rows):
            threads.spawn(f"multifd {number}", partial(self.guarded, partial(self.receive, row)))
        threads.spawn("load", partial(self.guarded, self.load))
        if self.aborted:
            threads.spawn("abort", lambda: self.buffers.abort(DeviceError("another device failed")))

    def guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except MigemuError as error:
            self.errors.append(error.message)

    def receive(self, row: tuple[int, ...]) -> None:
        for idx in row:
            self.buffers.insert(idx, Loose(VirtualSpan("vf", idx, 1)), is_config=idx == 3)  # type: ignore[arg-type]  # content without bytes
        self.open -= 1
        if not self.open and self.channels_end:
            self.buffers.channels_ended()

    def load(self) -> None:
        self.buffers.load_data(self.device.write, lambda: math.inf)
        config = self.buffers.take_config()
        with self.bql:
            self.device.load_config(b"", config.idx)
        self.buffers.done(config)

    def final(self) -> Hashable:
        held = self.buffers.stats.queued_bytes
        return self.device.next_idx, self.device.config_digest is not None, held, tuple(self.errors)


def outcome(system: type[Reassembly], schedules: int = 30_000) -> Outcome:
    return explore(system, Dfs(), Budget(schedules=schedules), Rules())


def test_every_order_of_arrival_and_loading_ends_with_everything_loaded() -> None:
    found = outcome(Reassembly)
    assert found.failure is None, found.verdict
    assert found.exhausted
    assert {final for _, final in found.finals} == {(3, True, 0, ())}


def test_an_abort_at_any_moment_leaves_nobody_waiting_and_nothing_held() -> None:
    class Aborted(Reassembly):
        rows = ((1, 2), (0,))
        aborted = True

    found = outcome(Aborted)
    assert found.failure is None, found.verdict
    for _, (_loaded, _config, held, _errors) in found.finals:
        assert held == 0


def test_a_lost_packet_ends_every_order_with_the_same_error() -> None:
    class Lost(Reassembly):
        rows = ((1,), (3,))

    found = outcome(Lost)
    assert found.exhausted
    told = "data buffer 0 never came and every multifd channel has ended; 1 later ones are queued, idx 1 to 1"
    assert {final[3] for _, final in found.finals} == {(told,)}


class DeafToArrivals(StateBuffers):
    """B7: what the loader waits for arrives, and nobody wakes it."""

    def _wake_loader(self, idx: int) -> None: ...


class DeafToTheEnd(StateBuffers):
    """D1: a failure or the end of all channels wakes nobody."""

    def _wake_everybody(self) -> None: ...


class AnyOrder(StateBuffers):
    """Whatever has come is taken to be next."""

    class Eager(Slots):
        def turn_come(self) -> bool:
            return bool(self._queue)

        def take(self) -> Loadable:
            self.next = min(self._queue)
            return super().take()

    slots_type = Eager

    def _wake_loader(self, idx: int) -> None:  # noqa: ARG002 - any will do
        self.buffer_ready.notify_all()


class Forgetful(StateBuffers):
    """What was written is never given back, so the account only grows."""

    class Keeping(Slots):
        def settle(self, item: Loadable) -> None:
            super().settle(item._replace(size=0))

    slots_type = Keeping


WHOLE, LOST = ((1, 2), (0, 3)), ((1,), (3,))

BROKEN: list[tuple[type[StateBuffers], tuple[tuple[int, ...], ...], bool, str | None]] = [
    (DeafToArrivals, WHOLE, False, "lost-wakeup"),
    (DeafToTheEnd, LOST, True, "wait-without-end"),
    (AnyOrder, WHOLE, True, None),
    (Forgetful, WHOLE, True, None),
]
"""What is broken, what is sent, whether the channels end, and the hang it makes (None: a wrong result)."""


@pytest.mark.parametrize(("broken", "sent", "ends", "hang"), BROKEN, ids=[row[0].__name__ for row in BROKEN])
def test_a_missing_guard_is_found(
    broken: type[StateBuffers], sent: tuple[tuple[int, ...], ...], hang: str | None, *, ends: bool
) -> None:
    class Broken(Reassembly):
        buffers_type = broken
        rows = sent
        channels_end = ends

    class Right(Broken):
        buffers_type = StateBuffers

    assert outcome(Right, 2000).failure is None
    found = outcome(Broken, 2000)
    if hang is None:
        assert {final for _, final in found.finals} != {(3, True, 0, ())}
    else:
        assert found.failure is not None
        assert found.failure.kind == hang
