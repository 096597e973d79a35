"""engine.sh where no engine can be had: it says so, and it is no silent hole."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("engine.sh")
TOOLS = ("bash", "cat", "env", "flock", "grep", "id", "mkdir", "sh", "timeout", "tr")


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no engine, no compose and nothing to install them with."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    return {"PATH": str(tools), "HOME": str(tmp_path), "E2E_STATE": str(tmp_path / "state")}


def run(environment: dict[str, str], *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    argv = [shutil.which("bash") or "bash", str(SCRIPT), *command]
    env = environment | settings
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_it_skips_with_a_reason_and_does_not_run_the_command(bare: dict[str, str]) -> None:
    done = run(bare, "sh", "-c", "echo ran")
    assert (done.returncode, done.stdout.splitlines()) == (0, [done.stdout.strip()])
    assert done.stdout.startswith("SKIP: no engine")


def test_where_an_engine_is_required_a_skip_is_a_failure(bare: dict[str, str]) -> None:
    done = run(bare, "sh", "-c", "echo ran", E2E_REQUIRE="1")
    assert done.returncode == 1
    assert "ran" not in done.stdout
    assert "FAIL: no engine" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets as far as installing")
def test_it_installs_nothing_when_told_not_to(bare: dict[str, str]) -> None:
    done = run(bare, "sh", "-c", "echo ran", E2E_INSTALL="0")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "SKIP: not installed, and E2E_INSTALL=0: docker.io docker-compose mmdebstrap"
    )


def test_a_state_folder_too_deep_for_a_socket_is_told_before_anything_starts(bare: dict[str, str]) -> None:
    done = run(bare, "sh", "-c", "echo ran", E2E_STATE=bare["HOME"] + "/" + "x" * 100)
    assert done.stdout.startswith("SKIP: E2E_STATE is too long a path for a socket")


def test_the_commands_own_exit_code_comes_back_from_an_engine_that_answers(
    bare: dict[str, str], tmp_path: Path
) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.write_text("#!/bin/sh\nexit 0\n")  # an engine and a compose that answer everything with yes
    docker.chmod(0o755)
    done = run(bare, "sh", "-c", 'echo "$E2E_ENGINE $E2E_COMPOSE"; exit 7')
    assert (done.returncode, done.stdout) == (7, "host docker compose\n")
