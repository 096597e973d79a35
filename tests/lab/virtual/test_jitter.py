"""Times that vary: by the seed and by nothing else, round the mean that the scenario says."""

from __future__ import annotations

import json
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from migemu.cli.compare import compare
from migemu.errors import ConfigError
from migemu.lab.virtual import run_virtual
from migemu.lab.virtual.jitter import Draws
from migemu.observe.devices import config_span
from migemu.observe.index import Index
from migemu.scenario import Scenario, loads

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
[platform]
needs_interrupt_controller = false
[ram]
size = "1 MiB"
[migration]
channels = 2
[link]
rate = "1000 MiB/s"
[[device]]
count = 2
state_size = "20 MiB"
config_size = "4 KiB"
read_rate = "800 MiB/s"
write_rate = "500 MiB/s"
config_load_time = "70 ms"
transition_times = { STOP = "10 ms", RUNNING = "10 ms" }
"""

KINDS = ("link", "read", "write", "transition", "config")


def scenario(*overrides: str) -> Scenario:
    return loads(SCENARIO, overrides=overrides, environ={})


def downtime(*overrides: str) -> float:
    result = run_virtual(scenario(*overrides)).result
    assert result.verdict == "completed", result.reasons
    assert result.times.downtime is not None
    return result.times.downtime


def config_loads(*overrides: str) -> list[float]:
    """How long each device's config took to load."""
    events = Index(run_virtual(scenario(*overrides)).events)
    spans = [config_span(events, name) for name in events.devices()]
    return [span[1] - span[0] for span in spans if span is not None]


@pytest.mark.parametrize("kind", [*KINDS, "lock"])
def test_each_kind_of_time_varies_with_the_seed_and_repeats_with_it(kind: str) -> None:
    cost = ("virtual.lock_hold=1 ms",) if kind == "lock" else ()
    told = (f"virtual.jitter.{kind}=0.5", *cost)
    first, again, other = (downtime(*told, f"seed={seed}") for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first != downtime(*cost)


def test_a_seed_repeats_to_the_last_event() -> None:
    varied = scenario(*(f"virtual.jitter.{kind}=0.3" for kind in KINDS))
    assert run_virtual(varied).events == run_virtual(varied).events


def test_nothing_varies_by_default_whatever_the_seed() -> None:
    assert downtime("seed=1") == downtime("seed=2")


def test_designs_meet_the_same_devices() -> None:
    # Each device has its own row of draws: who loads its config, and when, does not change how long it takes.
    told = ("virtual.jitter.config=0.5", "virtual.jitter.link=0.5")
    one, other = (config_loads(*told, f"handoff={name}") for name in ("load-thread", "blocking-wait"))
    assert sorted(one) == pytest.approx(sorted(other), rel=1e-9)
    assert one[0] != pytest.approx(one[1], rel=0.01)


def test_draws_keep_the_mean_and_have_the_spread_that_was_asked_for() -> None:
    draw = Draws(scenario("virtual.jitter.write=0.4")).of("write", "a device")
    drawn = [draw() for _ in range(20_000)]
    assert min(drawn) > 0
    assert fmean(drawn) == pytest.approx(1, abs=0.02)
    assert pstdev(drawn) == pytest.approx(0.4, abs=0.02)


def test_a_lock_costs_what_its_holds_take() -> None:
    free, dear = downtime(), downtime("virtual.lock_hold=1 ms")
    assert dear - free > 20 * 0.001  # 20 buffers of a device, each put in and taken out under its mutex


def test_runs_of_a_study_have_seeds_of_their_own_where_times_vary() -> None:
    still, varied = scenario("seed=5"), scenario("seed=5", "virtual.jitter.link=0.1")
    assert [still.of_run(run).seed for run in (-1, 0, 2)] == [5, 5, 5]
    assert [varied.of_run(run).seed for run in (-1, 0, 2)] == [5, 5, 7]


def test_a_comparison_of_several_runs_has_an_interval_and_repeats(tmp_path: Path) -> None:
    file = tmp_path / "varied.toml"
    file.write_text(f"{SCENARIO}\n[virtual.jitter]\nconfig = 0.3\n", encoding="utf-8")
    asked = [str(file), "--virtual", "--runs", "5", "--handoffs", "load-thread,blocking-wait", "--json"]

    def summary() -> list[dict[str, Any]]:
        told = CliRunner().invoke(compare, asked, catch_exceptions=False)
        points: list[dict[str, Any]] = json.loads(told.stdout.splitlines()[-1])["points"]
        return [point["figures"]["downtime"] for point in points]

    first = summary()
    assert all(told["low"] < told["median"] < told["high"] for told in first)
    assert first == summary()


def test_order_rules_are_refused_where_there_is_no_wire() -> None:
    rule = '[[order]]\ntype = "delay"\nselect = { channel = 0 }\nattributes = { latency = "1 ms" }\n'
    ruled = loads(f"{SCENARIO}\n{rule}", environ={})
    with pytest.raises(ConfigError, match="virtual run"):
        run_virtual(ruled)
