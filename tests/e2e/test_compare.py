"""`migemu compare` over real sockets: the same workload under several designs, one row each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from e2e.sides import Bench, migemu

if TYPE_CHECKING:
    from pathlib import Path

X86 = ("--set", "platform.needs_interrupt_controller=false")
ONCE = ("--runs", "1", "--warmup", "0")


def test_designs_are_run_counted_and_kept(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    designs = ("--handoffs", "load-thread,load-ready")
    done = migemu("compare", str(bench.config), *X86, *designs, "--runs", "2", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum("warm-up" in line for line in lines) == 3  # announced, and one for each
    (row,) = [line.split() for line in lines if line.startswith("load-ready ")]
    assert 0.1 < float(row[4]) < 10  # the ratio
    kept = json.loads((out / "compare.json").read_text())
    assert kept["schema"] == "migemu.compare/1"
    assert [len(point["raw"]) for point in kept["points"]] == [2, 2]
    assert all(point["verdict"] == "completed" for point in kept["points"])
    assert {path.name for path in (out / "typical").iterdir()} == {
        "handoff=load-thread",
        "handoff=load-ready",
    }
    assert "What each device did" in (out / "report.html").read_text()


def test_a_typical_run_is_a_run_to_report_and_to_trace(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    done = migemu("compare", str(bench.config), *X86, "--handoffs", "ack", *ONCE, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    run = out / "typical" / "handoff=ack"
    assert migemu("report", str(run)).returncode == 0
    assert migemu("trace", str(run)).returncode == 0
    assert (run / "report.html").stat().st_size > 10_000
    assert (run / "trace.perfetto-trace").stat().st_size > 1000
    refused = migemu("trace", str(out))
    assert refused.returncode == 2
    assert f"for example {run}" in refused.stderr


def test_a_scan_makes_it_a_study_and_json_is_a_line_a_run(bench: Bench) -> None:
    scan = ("--scan", "devices=1,2", "--scan", "skew=4")
    done = migemu("compare", str(bench.config), *X86, "--handoffs", "load-thread", *scan, *ONCE, "--json")
    assert done.returncode == 0, done.stderr
    *runs, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert {run["schema"] for run in runs} == {"migemu.run/1"}
    assert {run["settings"]["devices"] for run in runs} == {"1", "2"}
    assert summary["schema"] == "migemu.compare/1"
    assert [point["settings"]["devices"] for point in summary["points"]] == ["1", "2"]


def test_a_design_that_breaks_an_invariant_by_its_nature_is_told_and_is_no_failure(bench: Bench) -> None:
    """The first device is ready long before the stream comes to the interrupt controller."""
    early = ("device.0.state_size=1 KiB", "device.1.read_rate=15 MB/s", "platform.allow_early_config=true")
    sets = [word for setting in early for word in ("--set", setting)]
    done = migemu("compare", str(bench.config), *sets, "--handoffs", "load-ready,load-thread", *ONCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 failed, by nature" in done.stdout
    assert "load-thread: broke invariant config-after-iterables by its nature" in done.stdout
    assert "load-ready: " not in done.stdout.split("Times are ms")[1]


def test_a_design_that_fails_makes_the_comparison_fail(bench: Bench) -> None:
    spoiled = ("--set", "device.0.injected.write_error_at=1 MiB")
    done = migemu("compare", str(bench.config), *X86, *spoiled, "--handoffs", "load-thread", *ONCE)
    assert done.returncode == 1
    assert "1 OF 1 FAILED" in done.stdout
    assert "write at offset" in done.stdout


def test_a_design_that_cannot_run_is_refused_before_anything_runs(bench: Bench) -> None:
    done = migemu("compare", str(bench.config), "--handoffs", "load-ready,load-thread", *ONCE)
    assert done.returncode == 2
    assert "interrupt controller" in done.stderr
    assert done.stdout == ""


def test_a_dilated_comparison_is_scaled_back_and_says_so(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "slow"
    slow = ("--set", "device.*.config_load_time=20 ms", "--dilation", "4", "--out", str(out))
    done = migemu("compare", str(bench.config), *X86, "--handoffs", "load-thread", *ONCE, *slow)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 times slower" in done.stdout
    point = json.loads((out / "compare.json").read_text())["points"][0]
    assert point["figures"]["config_load"]["median"] >= 0.02  # as long as at full speed, not four times
    measured = json.loads((out / "typical" / "handoff=load-thread" / "result.json").read_text())
    assert measured["devices"][0]["config_load"] >= 0.08
