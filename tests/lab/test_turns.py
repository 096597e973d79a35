"""A schedule's order on real sockets and real threads."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from migemu.cli import cli
from migemu.errors import UsageError
from migemu.lab import bugs, turn_keeper
from migemu.lab.bugs.hunting import find
from migemu.lab.explore import Budget, Portfolio, Rules, Runner, encode, explore, narrate
from migemu.lab.explored import destination, owner_of
from migemu.lab.stock import stock
from migemu.lab.turn_keeper import Keeper, TurnThreads
from migemu.lab.turn_real import turned
from migemu.lab.turns import ARRIVES, Beat, key_of, turns_of
from migemu.scenario import dump_toml
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.lab.turn_real import Turned

EARLY = stock("handoff=load-thread", "platform.allow_early_config=true")
"""QEMU 10.0 on ARM64: configs are loaded as soon as the data is in."""


@cache
def token() -> str:
    """Of a schedule in which a config is loaded before the interrupt controller."""
    subject = destination(EARLY)
    failure = explore(subject, Portfolio.usual(80, 0), Budget(500)).failure
    assert failure is not None
    return encode(failure.decisions, subject.text(), Rules())


@cache
def plan() -> Turned:
    return turned(owner_of(token(), EARLY))


def test_the_turns_are_the_schedule_s_events_in_its_order() -> None:
    owner = owner_of(token(), EARLY)
    told = narrate(Runner(owner.subject, owner.token.rules), owner.token.decisions)
    turns = turns_of(told)
    assert turns.beats[-1].get("name") == "config-after-iterables"
    arrivals = [(beat.channel, beat.get("idx")) for beat in turns.beats if beat.event == ARRIVES]
    said = [note for step in told.steps for note in step.notes if note.startswith(ARRIVES)]
    assert len(arrivals) == len(said) > 3
    assert f"channel={arrivals[0][0]} " in said[0]
    assert f" idx={arrivals[0][1]} " in said[0]


def test_each_packet_waits_for_what_the_schedule_has_before_it() -> None:
    rules = tomllib.loads(plan().rules)["order"]
    waits = {rule["name"]: rule for rule in rules}
    first, second = plan().turns.beats[:2]
    if second.event == ARRIVES:
        met = waits["turn-1"]["attributes"]["packet"]
        assert (met["event"], met["device"], met["idx"]) == (
            first.event,
            first.get("device"),
            int(first.get("idx")),
        )
    assert waits["switchover_start"]["attributes"]["until"]["event"]
    moves = [rule for rule in rules if rule["type"] == "move"]
    assert len(moves) == sum(1 for beat in plan().turns.beats if beat.event == ARRIVES)


def test_the_order_is_a_scenario_that_can_be_kept(tmp_path: Path) -> None:
    scenario = tmp_path / "early.toml"
    scenario.write_text(dump_toml(EARLY))
    printed = CliRunner().invoke(cli, ["replay", token(), "--scenario", str(scenario), "--as-rules"])
    assert printed.exit_code == 0, printed.output
    assert tomllib.loads(printed.stdout)["order"]


def test_real_processes_break_the_same_invariant(tmp_path: Path) -> None:
    scenario = tmp_path / "early.toml"
    scenario.write_text(dump_toml(EARLY))
    done = CliRunner().invoke(cli, ["replay", token(), "--scenario", str(scenario), "--real", "--times", "2"])
    assert done.exit_code == 0, done.output
    assert "config-after-iterables: 2 of 2 runs show it" in done.stdout


@pytest.mark.parametrize("option", [("--speed", "recorded"), ("--connect", "127.0.0.1:1")])
def test_what_is_for_a_recording_is_refused_with_a_token(option: tuple[str, str]) -> None:
    done = CliRunner().invoke(cli, ["replay", token(), *option])
    assert isinstance(done.exception, UsageError)
    assert "are for a CAPTURE" in str(done.exception)


def test_what_is_for_a_token_is_refused_with_a_recording(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["replay", str(tmp_path), "--as-rules"])
    assert isinstance(done.exception, UsageError)
    assert "are for a TOKEN" in str(done.exception)


def test_a_fault_is_nothing_that_order_brings_about() -> None:
    with pytest.raises(UsageError, match=r"not its faults; this one needs: .* meets channel-fails"):
        turned(owner_of(find(bugs.get("D1"), tries=100).report.token))


def test_traffic_that_no_source_sends_is_refused() -> None:
    with pytest.raises(UsageError, match=r"K19, broken variant: its traffic is not what a source sends"):
        turned(owner_of(find(bugs.get("K19"), tries=10).report.token))


def beat(event: str, device: str, thread: str) -> Beat:
    key = key_of(event, {"device": device})
    assert key is not None
    return Beat(event, key, 1, thread)


BEGINS = "vfio_load_bufs_thread_start"


def test_a_load_thread_begins_when_the_schedule_has_it_begin() -> None:
    said: list[str] = []
    native = NativeThreads(lambda event, _t, thread, _fields: said.append(f"{thread} {event}"))
    turns = (beat(BEGINS, "B", "load B"), beat(BEGINS, "A", "load A"))
    threads = TurnThreads(native, Keeper(turns, native))
    early = threads.spawn("load A", lambda: threads.point(BEGINS, device="A"))
    assert not early.join(0.05), "A waits for B"
    late = threads.spawn("load B", lambda: threads.point(BEGINS, device="B"))
    assert early.join(5)
    assert late.join(5)
    assert said == [f"load B {BEGINS}", f"load A {BEGINS}"]


def test_a_turn_that_never_comes_is_told_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_keeper, "LIMIT", 0.05)
    said: list[str] = []
    native = NativeThreads(lambda event, _t, _thread, fields: said.append(f"{event} {fields}"))
    turns = (beat(BEGINS, "B", "load B"), beat(BEGINS, "A", "load A"))
    threads = TurnThreads(native, Keeper(turns, native))
    assert threads.spawn("load A", lambda: threads.point(BEGINS, device="A")).join(5)
    assert said[0].startswith("turn_missed")
    assert "load_bufs_thread_start B" in said[0]


def test_the_bql_waits_for_a_load_thread_s_turn_and_for_nobody_else() -> None:
    native = NativeThreads()
    turns = (beat(BEGINS, "B", "load B"), beat("vfio_load_device_config_state_start", "A", "load A"))
    threads = TurnThreads(native, Keeper(turns, native))
    bql = threads.lock("BQL")

    def config() -> None:
        with bql:
            threads.point("vfio_load_device_config_state_start", device="A")

    early = threads.spawn("load A", config)
    assert not early.join(0.05)
    with bql:  # this thread has no turn to wait for, and load A does not hold it
        pass
    threads.point(BEGINS, device="B")
    assert early.join(5)
