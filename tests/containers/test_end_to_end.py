"""The README's commands on a real engine: what they exit with, and what is in the volume afterwards."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker" / "compose.yaml"
SHAPE = ROOT / "docker" / "shape.sh"
IMAGE = "migemu:e2e"
SMALL = (
    '--set "device.*.state_size=8 MiB" --set "ram.size=32 MiB" --set "ram.working_set=4 MiB" --set devices=2'
)


@dataclass(frozen=True)
class Engine:
    """An engine with the image on it, and one compose project of its own."""

    project: str
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *argv: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run a command with the project's settings in its environment."""
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout, check=False, env=self.environment()
        )

    def environment(self) -> dict[str, str]:
        given = {"MIGEMU_IMAGE": IMAGE, "COMPOSE_PROJECT_NAME": self.project}
        return {**os.environ, **given, **self.settings}

    def compose(self, *words: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """Run compose, as it is called on this machine, on the project's compose file."""
        compose = shlex.split(os.environ["E2E_COMPOSE"])
        return self.run(*compose, "-f", str(COMPOSE_FILE), *words, timeout=timeout)

    def migrate(self, service: str = "source", *options: str) -> subprocess.CompletedProcess[str]:
        """The second of the README's three commands; with "result" the third."""
        return self.compose(*options, "run", "--rm", service)

    def container(self, service: str) -> str:
        """The id of the service's container, running or not."""
        return self.compose("ps", "-a", "-q", service).stdout.strip()

    def results(self, into: Path, service: str = "destination") -> Path:
        """Copy what lies in the volume; `docker cp`, because the oldest compose has no `cp`."""
        copied = self.run("docker", "cp", f"{self.container(service)}:/results", str(into))
        assert copied.returncode == 0, copied.stderr
        return into / "results" if (into / "results").exists() else into


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from this tree as the README says."""
    if "E2E_ENGINE" not in os.environ:
        reason = "no engine: run this with tests/containers/engine.sh"
        if os.environ.get("E2E_REQUIRE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    build = ["docker", "build", "-t", IMAGE, "-f", "docker/Dockerfile"]
    if base := os.environ.get("MIGEMU_BASE"):
        build += ["--build-arg", f"BASE={base}"]
    if os.environ["E2E_ENGINE"] == "own":
        build += ["--network", "host"]  # the daemon has no bridge that leads out
    built = subprocess.run([*build, "."], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return IMAGE


@pytest.fixture
def engine(image: str) -> Iterator[Engine]:
    """A compose project for one test; its containers, network and volume go with it."""
    project = Engine(f"migemu-test-{uuid4().hex[:8]}")
    yield project
    project.compose("down", "-v", "--timeout", "2")


def with_settings(engine: Engine, **settings: str) -> Engine:
    engine.settings.update(settings)
    return engine


def result(folder: Path, side: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / side / "result.json").read_text())
    return read


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_three_commands_end_verified_with_the_result_in_the_volume(
    engine: Engine, tmp_path: Path
) -> None:
    done = engine.migrate()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert events(done.stdout)  # the log is JSON, one object a line
    shown = engine.migrate("result")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    joined = result(engine.results(tmp_path), "joined")
    assert (joined["verdict"], joined["missing"], joined["runnable"]) == ("completed", [], "destination")
    assert {check["what"] for check in joined["verification"]} == {"data", "config", "ram"}
    assert all(check["ok"] for check in joined["verification"])
    assert joined["times"]["downtime"] > 0


def test_a_device_that_fails_is_told_by_the_sources_exit_code_and_log(engine: Engine, tmp_path: Path) -> None:
    broken = '--set "device.1.injected.write_error_at=4 MiB"'
    done = with_settings(engine, MIGEMU_ARGS=f"{SMALL} {broken}").migrate()
    assert done.returncode == 1, done.stdout[-3000:]
    assert "0000:00:02.0" in done.stdout + done.stderr
    assert "Input/output error" in done.stdout + done.stderr
    assert result(engine.results(tmp_path), "source")["runnable"] == "source"


def test_a_scenario_with_a_mistake_names_it_and_nothing_is_migrated(engine: Engine, tmp_path: Path) -> None:
    scenario = tmp_path / "wrong.toml"
    scenario.write_text("[migration]\nchanels = 3\n")
    done = with_settings(engine, SCENARIO=str(scenario)).compose("run", "--rm", "--no-deps", "source")
    assert done.returncode == 2
    assert "chanels" in done.stdout + done.stderr
    assert "channels" in done.stdout + done.stderr  # the nearest key that there is


def test_two_more_runs_need_no_cleaning_up_between_them(engine: Engine) -> None:
    with_settings(engine, MIGEMU_ARGS=SMALL)
    assert [engine.migrate().returncode for _ in range(2)] == [0, 0]


@pytest.mark.skipif(os.geteuid() != 0, reason="tc needs root")
def test_a_shaped_link_carries_the_migration(engine: Engine, tmp_path: Path) -> None:
    with_settings(engine, MIGEMU_ARGS=SMALL)
    assert engine.compose("up", "-d", "--no-build", "destination").returncode == 0
    shaped = engine.run(str(SHAPE), "500mbit")
    assert shaped.returncode == 0, shaped.stderr
    link = shaped.stdout.partition(":")[0]
    before = queued(engine, link)
    assert engine.migrate().returncode == 0
    devices = result(engine.results(tmp_path), "destination")["devices"]
    assert [device["data_bytes"] for device in devices] == [8 * 2**20] * 2
    if (after := queued(engine, link)) is not None:  # gone with the container, if that was faster
        assert before is not None
        assert after - before > 16 * 2**20


def queued(engine: Engine, link: str) -> int | None:
    """Bytes that went through the queue of `link`; None when the link is gone."""
    shown = engine.run("tc", "-s", "-j", "qdisc", "show", "dev", link)
    return int(json.loads(shown.stdout)[0]["bytes"]) if shown.returncode == 0 else None


def test_the_same_migration_encrypted(engine: Engine, tmp_path: Path) -> None:
    done = with_settings(engine, MIGEMU_ARGS=SMALL).migrate("source-tls", "--profile", "tls")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert engine.migrate("result").returncode == 0
    joined = result(engine.results(tmp_path, "destination-tls"), "joined")
    assert (joined["verdict"], joined["runnable"]) == ("completed", "destination")
    assert joined["scenario"]["effective"]["tls"]["dir"] == "/certificates"


def test_a_sweep_between_the_two_leaves_the_report_of_one_machine(engine: Engine, tmp_path: Path) -> None:
    scan = f"{SMALL} --scan channels=1,4 --runs 2 --warmup 0"
    done = with_settings(engine, SWEEP_ARGS=scan).migrate("sweep", "--profile", "sweep")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    kept = engine.results(tmp_path, "host") / "sweep"
    assert {"sweep.json", "report.html"} <= {path.name for path in kept.iterdir()}


@pytest.mark.parametrize(
    ("bug", "code", "said"), [("b31-crossed-channels", 0, "agree"), ("k06-idx-missing", 1, "idx 3")]
)
def test_an_ordering_bug_is_replayed_between_the_two(engine: Engine, bug: str, code: int, said: str) -> None:
    scenario = str(ROOT / "configs" / "order" / f"{bug}.toml")
    done = with_settings(engine, BUG=scenario).migrate("bug", "--profile", "bug")
    assert done.returncode == code, done.stdout[-3000:] + done.stderr
    assert said in done.stdout


def test_limits_come_from_variables_and_the_engine_holds_them(engine: Engine) -> None:
    with_settings(engine, DESTINATION_CPUS="0.5", DESTINATION_MEMORY="300m")
    assert engine.compose("up", "-d", "--no-build", "destination").returncode == 0
    asked = "{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.ReadonlyRootfs}} {{.Config.User}}"
    shown = engine.run("docker", "inspect", "-f", asked, engine.container("destination"))
    assert shown.stdout.split() == ["500000000", str(300 * 2**20), "true", "10001:10001"]


def test_the_destination_is_healthy_before_and_after_somebody_else_asked(engine: Engine) -> None:
    with_settings(engine, MIGEMU_ARGS=SMALL)
    assert engine.compose("up", "-d", "--no-build", "destination").returncode == 0
    asked = engine.compose(
        "run", "--rm", "--no-deps", "source", "probe", "destination:4444", "--wait", "20 s"
    )
    assert asked.returncode == 0, asked.stderr
    assert "waits for its source" in asked.stdout
    assert engine.migrate().returncode == 0


def test_the_image_holds_the_program_and_no_way_to_change_it(engine: Engine) -> None:
    look = (
        "id -u; touch /opt/venv/new 2>&1; command -v pip gcc; python -m pip --version 2>&1; migemu --version"
    )
    done = engine.run("docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", IMAGE, "-c", look)
    uid, touched, pip, version = done.stdout.splitlines()
    assert uid == "10001"
    assert "Permission denied" in touched
    assert "No module named pip" in pip
    assert version.startswith("migemu")
