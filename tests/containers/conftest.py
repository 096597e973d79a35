"""The container engine that ``engine.sh`` made ready, and one image built on it for all tests."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import click
import pytest

from migemu.cli import cli

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker" / "compose.yaml"
IMAGE = "migemu:e2e"


Parse = Callable[[Sequence[str]], click.Context]


@pytest.fixture
def parse() -> Parse:
    """The program's own parser: the verb's context with its parameters read; nothing is run."""

    def read(words: Sequence[str]) -> click.Context:
        top = click.Context(cli, info_name="migemu")
        name, verb, rest = cli.resolve_command(top, list(words))
        assert verb is not None
        return verb.make_context(name, rest, parent=top)

    return read


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

    def migrate(self, service: str = "source") -> subprocess.CompletedProcess[str]:
        """The second of the README's three commands."""
        return self.compose("run", "--rm", service)

    def container(self, service: str) -> str:
        """The id of the service's container, running or not."""
        return self.compose("ps", "-a", "-q", service).stdout.strip()

    def results(self, into: Path) -> Path:
        """Copy what lies in the volume; `docker cp`, because the oldest compose has no `cp`."""
        copied = self.run("docker", "cp", f"{self.container('destination')}:/results", str(into))
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
