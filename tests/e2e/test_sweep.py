"""`migemu sweep` over real sockets: a grid, an interrupt it survives, a baseline it is held against."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from e2e.sides import LIMIT, Bench, eventually, migemu

if TYPE_CHECKING:
    from pathlib import Path

SCAN = ("--scan", "channels=1,3")


def test_a_sweep_runs_its_grid_and_keeps_everything(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    grid = (*SCAN, "--scan", "devices=1,2", "--runs", "1", "--warmup", "0")
    done = migemu("sweep", str(bench.config), *grid, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "order (seed 1): " in done.stdout
    kept = json.loads((out / "sweep.json").read_text())
    seen = {tuple(point["settings"].values()): point["raw"][0] for point in kept["points"]}
    assert set(seen) == {("1", "1"), ("1", "2"), ("3", "1"), ("3", "2")}
    assert all(run["verdict"] == "completed" for run in seen.values())
    assert {knee["line"] for knee in kept["knees"]} == {"devices=1", "devices=2"}
    assert (out / "charts" / "downtime.svg").read_text().startswith("<?xml")
    (out / "report.html").unlink()
    assert migemu("report", str(out)).returncode == 0
    assert "Knees" in (out / "report.html").read_text()


def test_an_interrupted_sweep_goes_on_with_the_same_command(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    words = ("sweep", str(bench.config), *SCAN, "--runs", "2", "--warmup", "0", "--out", str(out))
    command = [sys.executable, "-m", "migemu", *words]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: (out / "runs.jsonl").exists() and lines(out) >= 1, LIMIT)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=LIMIT)
    assert first.returncode == 1
    assert f"kept in {out}; the same command goes on" in said
    done = lines(out)
    assert 1 <= done < 4
    second = migemu(*words)
    assert second.returncode == 0, second.stderr
    assert f"{done} runs are finished already, {4 - done} are left" in second.stdout
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert sorted((run["point"], run["run"]) for run in runs) == [
        (f"channels={channels}", run) for channels in (1, 3) for run in (0, 1)
    ]
    assert all(run["result"]["verdict"] == "completed" for run in runs)


def lines(out: Path) -> int:
    return len((out / "runs.jsonl").read_text().splitlines())


def test_a_folder_of_another_sweep_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    once = ("--runs", "1", "--warmup", "0", "--out", str(out))
    assert migemu("sweep", str(bench.config), "--scan", "channels=2", *once).returncode == 0
    before = (out / "runs.jsonl").read_bytes()
    done = migemu("sweep", str(bench.config), "--scan", "channels=4", *once)
    assert done.returncode == 2
    assert "holds another study, they differ in: scans" in done.stderr
    assert (out / "runs.jsonl").read_bytes() == before


def test_a_regression_beyond_the_noise_ends_with_1(bench: Bench, tmp_path: Path) -> None:
    """The baseline is an earlier sweep whose kept figures are made ten times better than they were."""
    out, better = tmp_path / "kept", tmp_path / "better.json"
    grid = ("--scan", "channels=2", "--runs", "3", "--warmup", "0", "--out", str(out))
    assert migemu("sweep", str(bench.config), *grid).returncode == 0
    same = migemu("sweep", str(bench.config), *grid, "--baseline", str(out))
    assert same.returncode == 0, same.stdout + same.stderr
    assert "0 worse" in same.stdout
    earlier = json.loads((out / "sweep.json").read_text())
    for run in earlier["points"][0]["raw"]:
        run["figures"]["downtime"] /= 10
    better.write_text(json.dumps(earlier))
    worse = migemu("sweep", str(bench.config), *grid, "--baseline", str(better))
    assert worse.returncode == 1
    assert "worse: downtime at channels=2, new / old 10" in worse.stdout
    assert "rule: a point is worse when" in worse.stdout
    assert "Against the baseline" in (out / "report.html").read_text()


def test_a_wrong_grid_costs_nothing(bench: Bench, tmp_path: Path) -> None:
    for scan, told in (
        ("channels=1,0", "must be at least 1"),
        ("chanels=1", "unknown key"),
        ("channels", "key="),
    ):
        done = migemu("sweep", str(bench.config), "--scan", scan, "--out", str(tmp_path / "none"))
        assert done.returncode == 2
        assert told in done.stderr
        assert not (tmp_path / "none").exists()
