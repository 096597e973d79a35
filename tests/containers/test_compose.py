"""compose.yaml: two hardened ends, a real health check, and commands that the program knows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

    Parse = Callable[[Sequence[str]], click.Context]

yaml = pytest.importorskip("yaml", reason="PyYAML is of the dev extra")

FILE = Path(__file__).resolve().parents[2] / "docker" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

each = pytest.mark.parametrize("name", SERVICES)
ENDS = ["source", "destination", "source-tls", "destination-tls"]
each_end = pytest.mark.parametrize("name", ENDS)


def filled(text: str, **settings: str) -> str:
    """`text` as compose reads it, with `settings` in the environment."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: settings.get(match[1], match[2]), text)


@each
def test_every_command_is_one_that_the_program_parses(name: str, parse: Parse) -> None:
    words = shlex.split(filled(SERVICES[name]["command"]))
    assert parse(words).info_name == words[0]
    if words[0] == "at":
        assert parse(words[2:]).info_name == {"sweep": "sweep", "bug": "run"}[name]


@each_end
def test_more_words_from_the_environment_reach_both_sides(name: str, parse: Parse) -> None:
    words = shlex.split(filled(SERVICES[name]["command"], MIGEMU_ARGS='--set "migration.channels = 16"'))
    assert parse(words).params["overrides"][-1] == "migration.channels = 16"


@each
def test_every_container_is_as_tight_as_it_can_be(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("networks") == ["migration"] or service["network_mode"] == "none"
    assert "ports" not in service
    assert not service.get("privileged")


@each_end
def test_processors_and_memory_are_limited_by_variables_with_defaults(name: str) -> None:
    for limit in ("cpus", "mem_limit", "pids_limit"):
        assert filled(str(SERVICES[name][limit])).strip("kmg").replace(".", "").isdigit()
    prefix = name.removesuffix("-tls").upper()
    assert filled(SERVICES[name]["cpus"], **{f"{prefix}_CPUS": "0.5"}) == "0.5"
    assert filled(SERVICES[name]["mem_limit"], **{f"{prefix}_MEMORY": "256m"}) == "256m"


@pytest.mark.parametrize("kind", ["", "-tls"])
def test_the_source_waits_for_a_destination_that_the_program_itself_calls_ready(
    kind: str, parse: Parse
) -> None:
    destination = SERVICES[f"destination{kind}"]
    words = shlex.split(filled(destination["command"]))
    port = words[words.index("--listen") + 1].rpartition(":")[2]
    waits = SERVICES[f"source{kind}"]["depends_on"]
    assert waits == {f"destination{kind}": {"condition": "service_healthy"}}
    how, program, *question = destination["healthcheck"]["test"]
    assert (how, program) == ("CMD", "migemu")
    assert parse(question).params["address"] == f"127.0.0.1:{port}"


def test_only_the_encrypted_destination_may_do_without_a_word_about_it() -> None:
    assert "--insecure" in SERVICES["destination"]["command"]
    assert "--insecure" not in SERVICES["destination-tls"]["command"]
    assert "tls.dir=/certificates" in SERVICES["destination-tls"]["command"]
    certificate = shlex.split(SERVICES["certificates"]["command"])
    assert certificate[certificate.index("--host") + 1] == "destination-tls"


def test_the_network_leads_nowhere_and_the_results_are_kept() -> None:
    assert COMPOSE["networks"]["migration"]["internal"] is True
    assert all("results:/results" in service["volumes"] for service in SERVICES.values())
    assert "results" in COMPOSE["volumes"]


def test_the_oldest_compose_in_use_can_read_the_file() -> None:
    assert "name" not in COMPOSE  # docker-compose 1.29 refuses it at the top


def test_the_readme_names_every_setting_there_is_and_no_other() -> None:
    used = set(re.findall(r"\$\{(\w+):-", FILE.read_text()))
    readme = (FILE.parent / "README.md").read_text()
    rows = [line.split("|")[1] for line in readme.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert named == used
