"""Which records the incoming thread waits at, acts on or refuses, by machine type and what came before."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from migemu.destination.incoming import Incoming
from migemu.destination.mainchannel import End
from migemu.errors import ConnectionLostError, WireError
from migemu.threads.native import NativeThreads
from migemu.wire import records, returnpath
from migemu.wire import vfio as words
from migemu.wire.mainstream import INTERRUPT_CONTROLLER
from migemu.wire.records import Section

RAM = Section("ram")
ONE, OTHER = "one/vfio", "other/vfio"


class Bench:
    """An incoming thread's acts; nothing is behind them."""

    def __init__(self, machine: str = "11.1") -> None:
        self.barriers = self.controllers = 0
        self.replies: list[bytes] = []
        model = SimpleNamespace(precopy=True)
        slots = {
            name: SimpleNamespace(name=name, device=SimpleNamespace(model=model)) for name in (ONE, OTHER)
        }
        parts: Any = SimpleNamespace(threads=NativeThreads(), slots=slots, slot=slots.__getitem__)
        parts.platform = SimpleNamespace(interrupt_controller_loaded=self._controller)
        parts.interrupt_controller_load_time = 0.0
        handoff: Any = SimpleNamespace(at_barrier=nullcontext)
        barrier: Any = SimpleNamespace(wait=self._wait)
        nothing: Any = None
        self.incoming = Incoming(parts, handoff, nothing, barrier, nothing, self.replies.append, machine)

    def _wait(self) -> None:
        self.barriers += 1

    def _controller(self) -> None:
        self.controllers += 1


@pytest.mark.parametrize(("machine", "barriers"), [("8.0", 1), ("8.1", 0), ("11.1", 0)])
def test_every_eos_is_a_barrier_where_there_is_no_word_for_one(machine: str, barriers: int) -> None:
    bench = Bench(machine)
    bench.incoming.act(records.RamEos(RAM))
    assert bench.barriers == barriers


def test_the_word_is_a_barrier_where_the_machine_type_has_it_and_refused_elsewhere() -> None:
    bench = Bench("8.1")
    bench.incoming.act(records.RamFlush(RAM))
    assert bench.barriers == 1
    old = Bench("8.0")
    with pytest.raises(WireError, match="MULTIFD_FLUSH from a machine type whose barrier is EOS"):
        old.incoming.act(records.RamFlush(RAM))
    assert old.barriers == 0


def test_the_switchover_is_acknowledged_once_every_device_has_its_initial_data() -> None:
    bench = Bench()
    sent = [records.VfioWord(Section(name), words.INIT_DATA_SENT) for name in (ONE, OTHER)]
    bench.incoming.act(sent[0])
    assert bench.replies == []
    with pytest.raises(WireError, match="unexpected INIT_DATA_SENT"):
        bench.incoming.act(sent[0])
    bench.incoming.act(sent[1])
    assert bench.replies == [returnpath.encode(returnpath.SWITCHOVER_ACK)]


def test_no_other_state_stands_in_for_the_interrupt_controller() -> None:
    bench = Bench()
    bench.incoming.act(records.Opaque(Section("migemu-other"), b"state"))
    assert bench.controllers == 0
    bench.incoming.act(records.Opaque(Section(INTERRUPT_CONTROLLER), b"state"))
    assert bench.controllers == 1


@pytest.mark.parametrize(("phase", "before"), [("active", "before EOF"), ("commit", "gave up its VM")])
def test_a_source_that_closes_early_is_told_by_what_it_owes(phase: str, before: str) -> None:
    bench = Bench()
    bench.incoming.phase = phase
    with pytest.raises(ConnectionLostError, match=before):
        bench.incoming.act(End(None))


def test_the_reason_of_a_loss_is_its_own() -> None:
    with pytest.raises(WireError, match="torn"):
        Bench().incoming.act(End(WireError("torn")))
