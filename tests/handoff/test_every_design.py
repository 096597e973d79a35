"""What every design promises in its table, seen to be so: who loads, under which lock, after what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handoff.harness import CONFIG_END, CONFIG_START, GIC_LOADED, INCOMING, LOAD_START, STARTED, A, B
from migemu.errors import WireError
from migemu.handoff import HANDOFFS
from migemu.handoff.design import Carrier, Loader
from migemu.scenario import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from handoff.harness import Destination

    Make = Callable[..., Destination]

THREADS = {
    Loader.INCOMING_THREAD: INCOMING,
    Loader.LOAD_THREAD: "load ",
    Loader.RECEIVE_THREAD: "multifd_recv ",
}
"""How the names of a loader's threads begin."""
LATE = [name for name, each in HANDOFFS.items() if each.design.config_after_iterables]
STARTING = [name for name, each in HANDOFFS.items() if each.design.switchover_start]

every_design = pytest.mark.parametrize("design", HANDOFFS)


def run(one: Destination) -> None:
    """An ordinary migration, one channel a device."""
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    one.rest()
    one.completes()


def test_the_debate_is_complete_and_in_order() -> None:
    assert tuple(HANDOFFS) == names.HANDOFFS


@every_design
def test_a_design_tells_its_story(design: str) -> None:
    """Who proposed it, in which message, what was said for and against, what became of it."""
    text = __import__(HANDOFFS[design].__module__, fromlist=["x"]).__doc__ or ""
    assert text.startswith(f"`{design}`: ")
    assert HANDOFFS[design].design.proposed_in
    assert "For it" in text
    assert "Against it" in text


@every_design
def test_a_migration_completes_with_everything_loaded(destination: Make, design: str) -> None:
    one = destination(design)
    run(one)
    assert [told.fields["idx"] for told in one.scene.told(LOAD_START, device=A)] == [0, 1]
    assert [told.fields["idx"] for told in one.scene.told(LOAD_START, device=B)] == [0, 1]
    assert sorted(one.order(CONFIG_END)) == [A, B]
    assert not one.scene.told("invariant", ok=False)


@every_design
def test_data_and_config_are_loaded_by_the_threads_the_table_names(destination: Make, design: str) -> None:
    one = destination(design)
    run(one)
    writers = [told.thread for told in one.scene.told(LOAD_START)]
    loaders = [told.thread for told in one.scene.told(CONFIG_START)]
    assert all(name.startswith(THREADS[one.design.data_loader]) for name in writers)
    assert all(name.startswith(THREADS[one.design.config_loader]) for name in loaders)


@every_design
def test_config_is_loaded_under_the_bql_unless_the_table_says_otherwise(
    destination: Make, design: str
) -> None:
    one = destination(design)
    run(one)
    held = [told.bql == told.thread for told in one.scene.told(CONFIG_START)]
    assert held == [one.design.bql_for_config] * 2


@every_design
def test_each_device_says_once_that_only_its_config_is_missing(destination: Make, design: str) -> None:
    one = destination(design)
    run(one)
    assert sorted(one.order("config_ready")) == [A, B]
    for device in (A, B):
        assert one.place("config_ready", device=device) < one.place(CONFIG_START, device=device)


@pytest.mark.parametrize("design", LATE)
def test_a_late_design_loads_config_behind_the_interrupt_controller(destination: Make, design: str) -> None:
    """On a platform whose hardware refuses anything else."""
    one = destination(design, needs_interrupt_controller=True)
    one.switchover()
    one.whole(A, channel=0)
    one.whole(B, channel=1)
    if one.design.data is Carrier.MULTIFD:
        one.scene.until_told(LOAD_START, 4)
    one.rest()
    one.completes()
    assert one.place(GIC_LOADED) < one.place(CONFIG_START)


@pytest.mark.parametrize("design", [name for name in HANDOFFS if name not in LATE])
def test_an_early_design_runs_into_b2_there(destination: Make, design: str) -> None:
    """The stream stalls before the interrupt controller, the data is in: the hardware refuses the config."""
    one = destination(design, needs_interrupt_controller=True)
    one.switchover()
    one.whole(A)
    assert "config-after-iterables" in str(one.fails())


@every_design
def test_the_vm_starts_after_every_config(destination: Make, design: str) -> None:
    one = destination(design)
    one.switchover()
    one.whole(A)
    if one.design.data is Carrier.MULTIFD:
        one.rest()
        one.scene.until_told("config_ready", device=A)
        assert not one.core.running
        one.whole(B)
    else:
        one.rest()
    one.completes()
    configs = [place for place, told in enumerate(one.scene.events) if told.event == CONFIG_END]
    assert max(configs) < one.place("vm_state", **STARTED)


@pytest.mark.parametrize("design", STARTING)
def test_nothing_is_loaded_before_the_switchover(destination: Make, design: str) -> None:
    """Multifd data that overtakes the device's pre-copy data only queues (B3)."""
    one = destination(design)
    one.data(0, A, 0)
    one.precopy(A, b"running")
    one.scene.until_waits(INCOMING, "the main channel filled")
    assert not one.scene.told(LOAD_START)
    one.switchover()
    one.data(0, A, 1)
    one.last(0, A)
    one.whole(B, channel=1)
    one.rest()
    one.completes()


@every_design
def test_switchover_start_comes_once(destination: Make, design: str) -> None:
    one = destination(design)
    one.switchover()
    one.switchover()
    assert "SWITCHOVER_START came twice" in str(one.fails())


@pytest.mark.parametrize("design", STARTING)
def test_a_stream_without_switchover_start_is_refused(destination: Make, design: str) -> None:
    """A real QEMU completes here with empty devices (K19)."""
    one = destination(design)
    one.whole(A)
    one.whole(B)
    if one.design.send_non_iterable:
        one.non_iterables_follow()
    one.gic()
    one.eof()
    error = one.fails()
    assert isinstance(error, WireError)
    assert "without SWITCHOVER_START" in str(error)


@every_design
def test_every_wait_ends_when_the_migration_is_cancelled(destination: Make, design: str) -> None:
    """A's last buffer never comes; whoever waits for it is woken (closing the story joins every thread)."""
    one = destination(design)
    one.switchover()
    one.data(0, A, 0) if one.design.data is Carrier.MULTIFD else None
    one.whole(B, channel=1)
    one.scene.until_waits(INCOMING, "the main channel filled")
    if one.design.data is Carrier.MULTIFD:
        one.rest()
    one.close()
    one.until_over()
    assert not one.core.running


@every_design
def test_every_wait_ends_by_patience(destination: Make, design: str) -> None:
    """...or when nothing moves any more."""
    one = destination(design, patience=0.2)
    one.switchover()
    one.whole(B, channel=1)
    if one.design.data is Carrier.MULTIFD:
        one.rest()
    assert "main channel" in str(one.fails()) or A in str(one.core.abort.error)
