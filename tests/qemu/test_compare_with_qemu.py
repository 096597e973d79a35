"""``migemu compare --with-qemu``: a real QEMU beside our designs, in the same rounds and the same table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.binary import Launcher

pytestmark = pytest.mark.qemu

SMALL = """
name = "small"
[ram]
size = "16 MiB"
[migration]
channels = 2
[[device]]
count = 2
state_size = "3000000 B"
write_rate = "100 MB/s"
config_load_time = "10 ms"
transition_times = { STOP_COPY = "5 ms", RUNNING = "5 ms" }
"""
ONCE = ("--runs", "1", "--warmup", "0")
PARTS = ("part stop", "part save_iterables", "part load_remainder", "part start")


@pytest.fixture
def small(tmp_path: Path) -> str:
    (tmp_path / "small.toml").write_text(SMALL)
    return str(tmp_path / "small.toml")


def compare(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "migemu", "compare", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )


def test_it_stands_in_the_same_table_with_the_same_parts(
    small: str, vfio_qemu: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked = (small, "--handoffs", "main-channel,load-thread", *ONCE, "--out", str(out))
    done = compare(*asked, "--with-qemu", str(vfio_qemu.program))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [f"{design} on QEMU {vfio_qemu.version_text}" for design in ("main-channel", "load-thread")]
    assert all(any(line.startswith(f"{row} ") for line in done.stdout.splitlines()) for row in rows)
    assert f"{rows[1]}: " in done.stdout  # the deviation
    kept = json.loads((out / "compare.json").read_text())
    beside = {point["settings"]["handoff"]: point for point in kept["points"]}
    assert all(beside[row]["verdict"] == "completed" for row in rows)
    figures = beside[rows[1]]["figures"]
    assert all(figures[part]["median"] > 0 for part in PARTS)
    assert sum(figures[f]["median"] for f in figures if f.startswith("part ")) == pytest.approx(
        figures["downtime"]["median"], rel=0.02
    )
    assert figures["config_load"]["median"] == pytest.approx(0.01, rel=0.5)
    assert "How close to a real QEMU" in (out / "report.html").read_text()


def test_an_interrupted_study_goes_on_and_runs_no_qemu_twice(
    small: str, vfio_qemu: Launcher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    asked = (small, "--handoffs", "load-thread", *ONCE, "--out", str(out))
    qemu = ("--with-qemu", str(vfio_qemu.program))
    assert compare(*asked, *qemu).returncode == 0
    lines = (out / "runs.jsonl").read_text().splitlines()
    (out / "runs.jsonl").write_text("".join(f"{line}\n" for line in lines if " on QEMU " not in line))
    again = compare(*asked, *qemu)
    assert "1 runs are finished already, 1 are left" in again.stdout
    assert len((out / "runs.jsonl").read_text().splitlines()) == 2
    other = compare(*asked, "--set", "platform.needs_interrupt_controller=false")
    assert (other.returncode, "they differ in" in other.stderr) == (2, True)


def test_without_a_qemu_that_can_it_is_refused(small: str, tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "MIGEMU_QEMU_DIR": str(tmp_path)}
    done = compare(small, "--with-qemu", **nowhere, MIGEMU_QEMU="")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("migemu: no QEMU is here: name one with --qemu")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--virtual",), "does not go with --virtual"),
        (("--set", "link.rate=1 Gbit/s"), "a slower link"),
        (("--scan", "migration.packet_size=2 MiB,1 MiB"), "device packets of 2097152 bytes"),
    ],
)
def test_what_a_qemu_cannot_do_is_refused(
    small: str, vfio_qemu: Launcher, words: tuple[str, ...], reason: str
) -> None:
    done = compare(small, *words, "--with-qemu", str(vfio_qemu.program))
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_scenario_in_the_place_of_its_path_is_told_where_it_belongs(small: str) -> None:
    done = compare("--with-qemu", small)
    assert done.returncode == 2
    assert f"compare {small} --with-qemu" in done.stderr
