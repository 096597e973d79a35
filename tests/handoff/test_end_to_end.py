"""Every design between two real processes on real sockets, and pairs that do not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from e2e.sides import SMALL, Bench, migemu
from migemu.handoff import HANDOFFS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

X86 = "platform.needs_interrupt_controller=false"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    made = Bench(tmp_path, config)
    yield made
    for side in made.sides:
        if side.process.poll() is None:
            side.process.kill()
        side.process.communicate()


def run(bench: Bench, *overrides: str) -> tuple[int, dict[str, Any]]:
    """Run to the end; exit code and result."""
    out = bench.folder / "kept"
    options = [word for override in overrides for word in ("--set", override)]
    done = migemu("run", str(bench.config), "--out", str(out), *options)
    return done.returncode, json.loads((out / "result.json").read_text())


@pytest.mark.parametrize("design", HANDOFFS)
def test_a_design_migrates_between_two_processes_and_is_measured(bench: Bench, design: str) -> None:
    # recv-loads deadlocks over several channels sooner or later: that is its nature, see the next test
    channels = ["channels=1"] if design == "recv-loads" else []
    code, result = run(bench, X86, f"handoff={design}", *channels)
    assert (code, result["verdict"], result["reasons"]) == (0, "completed", [])
    assert len(result["verification"]) == 5
    assert all(check["ok"] for check in result["verification"])
    for device in result["devices"]:
        measured = ("wait", "load", "ready_wait", "config_load", "total")
        assert {name: device[name] for name in measured if device[name] is None} == {}
    assert "incoming" in {holder["holder"] for holder in result["bql"]}


def test_recv_loads_over_several_channels_ends_one_way_or_the_other(bench: Bench) -> None:
    """A SYNC between the packets is enough for a ring; then the error names it, on both sides."""
    code, result = run(bench, X86, "handoff=recv-loads", "timeouts.phase=1 s")
    if code:
        assert all("invariant ends: the receive threads wait for each other" in r for r in result["reasons"])
        assert result["runnable"] == "source"


def test_an_older_machine_type_runs_the_older_behaviour_and_says_so(bench: Bench) -> None:
    code, result = run(bench, 'machine="9.2"')
    assert (code, result["handoff"]) == (0, "main-channel")
    assert sum(channel["device_bytes"] for channel in result["channels"]) == 0


def test_insisting_on_an_early_design_shows_b2(bench: Bench) -> None:
    """One device is in long before the other, and its config with it, and the interrupt controller is not."""
    slow = ["device.1.read_rate=2 MiB/s", "timeouts.phase=20 s"]
    code, result = run(bench, "handoff=load-thread", "platform.allow_early_config=true", *slow)
    assert code == 1
    assert any("config loaded before the interrupt controller" in reason for reason in result["reasons"])
    broken = {check["name"] for check in result["invariants"] if check["ok"] is False}
    assert "config-after-iterables" in broken
    assert result["runnable"] == "source"


@pytest.mark.parametrize("override", ["handoff=ack", "machine=9.2 handoff=non-iterable"])
def test_what_cannot_run_is_refused_before_anything_is_started(bench: Bench, override: str) -> None:
    options = [word for each in override.split() for word in ("--set", each)]
    done = migemu("run", str(bench.config), *options)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "hand-off" in done.stderr


@pytest.mark.parametrize(
    ("ours", "theirs"), [("11.1", "10.1"), ("10.1", "11.1"), ("9.2", "11.1"), ("10.2", "9.1")]
)
def test_two_machine_types_end_on_both_sides_with_the_reason(bench: Bench, ours: str, theirs: str) -> None:
    destination, address = bench.destination("--set", f"machine={theirs}")
    source = bench.source(address, "--set", f"machine={ours}")
    told = f"the stream is of machine type {ours}, this side is {theirs}: give both sides the same machine"
    for side in (source, destination):
        code, words = side.finish()
        assert code == 1
        assert words.endswith(told)
    assert source.last_vm() == (True, True)
    assert not destination.named("vm_state")[-1]["running"]


def test_two_hand_offs_end_on_both_sides_with_the_reason(bench: Bench) -> None:
    destination, address = bench.destination("--set", "handoff=non-iterable")
    source = bench.source(address, "--set", "handoff=load-finish")
    told = "the source runs hand-off load-finish, this side non-iterable"
    for side in (source, destination):
        code, words = side.finish()
        assert code == 1
        assert told in words
    assert source.last_vm() == (True, True)
