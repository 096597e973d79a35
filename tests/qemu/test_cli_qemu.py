"""The verbs of ``migemu qemu`` as a person types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher

pytestmark = pytest.mark.qemu

SMALL = """
handoff = "load-thread"
[platform]
needs_interrupt_controller = false
[ram]
size = "16 MiB"
[[device]]
count = 4
state_size = "1 MiB"
"""
"""A migration of well under a second."""


@pytest.fixture
def small(tmp_path: Path) -> str:
    (tmp_path / "small.toml").write_text(SMALL)
    return str(tmp_path / "small.toml")


def migemu(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "migemu", "qemu", *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=os.environ | environment,
    )


def test_migrate_shows_downtime_and_keeps_it(small: str, vfio_qemu: Launcher, tmp_path: Path) -> None:
    done = migemu("migrate", small, "--qemu", str(vfio_qemu.program), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 digests agree" in done.stdout
    assert "note: a device's config state is QEMU's" in done.stdout
    kept = json.loads((tmp_path / "out/result.json").read_text())
    assert (kept["verdict"], kept["handoff"], len(kept["devices"])) == ("completed", "load-thread", 4)


def test_json_gives_events_alone(small: str, vfio_qemu: Launcher) -> None:
    done = migemu("migrate", small, "--qemu", str(vfio_qemu.program), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"source", "destination"} == {event["side"] for event in events}
    assert [e for e in events if e["event"] == "vmstate_downtime_checkpoint"]


def test_a_migration_that_fails_exits_with_1(small: str, vfio_qemu: Launcher) -> None:
    fault = ["--set", "device.2.injected.write_error_at=500 KiB"]
    done = migemu("migrate", small, "--qemu", str(vfio_qemu.program), *fault)
    assert done.returncode == 1
    assert "writing state buffer 0 failed" in " ".join(done.stdout.split())


@pytest.mark.parametrize("design", ["non-iterable", "ack"])  # ack: on ARM64 our own runs would refuse it
def test_a_design_qemu_does_not_have_exits_with_2(vfio_qemu: Launcher, design: str) -> None:
    done = migemu("migrate", "--qemu", str(vfio_qemu.program), "--set", f"handoff={design}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"migemu: QEMU has no hand-off design {design}")


def test_a_folder_that_cannot_be_written_is_one_line(small: str, vfio_qemu: Launcher) -> None:
    done = migemu("run", "--qemu", str(vfio_qemu.program), "--dir", f"{small}/devices", "--", "-M", "none")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot put devices into" in done.stderr


def test_what_is_no_qemu_says_what_it_is() -> None:
    done = migemu("doctor", "--qemu", "/bin/sh")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "/bin/sh is not a QEMU" in done.stderr


def test_a_fault_no_scenario_has_a_word_for_is_set_in_the_device_itself(
    small: str, vfio_qemu: Launcher
) -> None:
    fault = ["--shim", "source.3.fail.STOP_COPY=5"]
    done = migemu("migrate", small, "--qemu", str(vfio_qemu.program), *fault)
    assert done.returncode == 1
    assert "injected failure entering STOP_COPY" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "setting", ["source.4.seed=1", "elsewhere.0.seed=1", "source.x.seed=1", "source.0.seed"]
)
def test_a_fault_at_no_device_is_a_usage_error(small: str, vfio_qemu: Launcher, setting: str) -> None:
    done = migemu("migrate", small, "--qemu", str(vfio_qemu.program), "--shim", setting)
    assert done.returncode == 2
    assert setting in done.stderr


def test_run_is_that_qemu_with_devices_to_bind_to(vfio_qemu: Launcher, tmp_path: Path) -> None:
    quiet = ["-M", "q35,accel=tcg", "-nodefaults", "-display", "none", "-S", "-m", "16", "-monitor", "stdio"]
    device = ["-device", "vfio-pci,sysfsdev={vfio}/device3"]
    command = [sys.executable, "-m", "migemu", "qemu", "run", "--qemu", str(vfio_qemu.program)]
    ended = subprocess.run(
        [*command, "--dir", str(tmp_path / "vfio"), "--", *quiet, *device],
        input="info pci\nquit\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "PCI device 1b36:6d67" in ended.stdout
    assert (tmp_path / "vfio/events.jsonl").exists()


def test_doctor_finds_it_and_says_what_works(vfio_qemu: Launcher) -> None:
    done = migemu("doctor", "--qemu", str(vfio_qemu.program))
    assert done.returncode == 0
    assert f"QEMU {vfio_qemu.version_text}" in done.stdout
    assert "yes VFIO device state over multifd" in done.stdout


def test_doctor_without_any_says_what_to_do(tmp_path: Path) -> None:
    done = migemu("doctor", PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path), MIGEMU_QEMU_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "tests/qemu/get-qemu.sh" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_ends_migemu_ends_its_qemus(
    small: str, vfio_qemu: Launcher, tmp_path: Path, number: int
) -> None:
    if shutil.which("setpriv") is None and number == signal.SIGKILL:
        pytest.skip("no setpriv: nothing tells a QEMU that its parent was killed")
    stall = ["--set", "device.*.injected.stall_at=0 B", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "migemu", "qemu", "migrate", "--qemu", str(vfio_qemu.program)]
    process = subprocess.Popen([*command, small, *stall], stderr=subprocess.PIPE, text=True)
    try:
        assert until(lambda: len(children_in(tmp_path)) == 2)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        assert until(lambda: not children_in(tmp_path))
        assert ("interrupted" in stderr) is (number == signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


def children_in(folder: Path) -> list[int]:
    """QEMUs whose devices are in `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it just ended
        if f"sysfsdev={folder}/" in words:
            found.append(int(entry.parent.name))
    return found


def until(happened: object, limit: float = 20.0) -> bool:
    """Whether `happened` becomes true within `limit` seconds."""
    end = time.monotonic() + limit
    while not happened():  # type: ignore[operator]  # any callable without arguments
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
