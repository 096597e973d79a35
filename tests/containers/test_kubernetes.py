"""k8s/: manifests that the API's own schemas accept and whose parts fit together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click

    Parse = Callable[[Sequence[str]], click.Context]

yaml = pytest.importorskip("yaml", reason="PyYAML is of the dev extra")

FOLDER = Path(__file__).resolve().parents[2] / "docker" / "k8s"
OBJECTS: list[dict[str, Any]] = [
    item for path in sorted(FOLDER.glob("*.yaml")) for item in yaml.safe_load_all(path.read_text())
]
IDS = [f"{item['kind']}/{item['metadata']['name']}" for item in OBJECTS]
JOBS = {item["metadata"]["name"]: item for item in OBJECTS if item["kind"] == "Job"}


def one(kind: str) -> Any:
    [found] = [item["spec"] for item in OBJECTS if item["kind"] == kind]
    return found


def pod(job: str) -> Any:
    return JOBS[job]["spec"]["template"]["spec"]


def labels(job: str) -> Any:
    return JOBS[job]["spec"]["template"]["metadata"]["labels"]


def containers() -> list[dict[str, Any]]:
    return [item for job in JOBS for item in (*pod(job)["containers"], *pod(job).get("initContainers", ()))]


@pytest.mark.parametrize("item", OBJECTS, ids=IDS)
@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_the_api_would_accept_it(item: dict[str, Any], version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="of the dev extra")
    validator.validate(item, version, strict=True)


def test_they_are_two_jobs_a_service_and_a_wall_around_it() -> None:
    assert sorted(item["kind"] for item in OBJECTS) == ["Job", "Job", "NetworkPolicy", "Service"]


def test_the_service_and_its_wall_find_the_destination_and_let_the_source_in() -> None:
    wall = one("NetworkPolicy")
    assert one("Service")["selector"] == labels("migration-destination")
    assert wall["podSelector"]["matchLabels"] == labels("migration-destination")
    assert wall["ingress"][0]["from"] == [{"podSelector": {"matchLabels": labels("migration-source")}}]


def test_the_source_connects_to_the_port_that_the_service_offers() -> None:
    [service], [policy] = one("Service")["ports"], one("NetworkPolicy")["ingress"][0]["ports"]
    [container] = pod("migration-destination")["containers"]
    [port] = container["ports"]
    assert service["targetPort"] == policy["port"] == port["name"]
    assert f"--listen=0.0.0.0:{port['containerPort']}" in container["args"]
    assert (
        f"--connect=migration-destination:{service['port']}"
        in pod("migration-source")["containers"][0]["args"]
    )


@pytest.mark.parametrize("container", containers(), ids=lambda container: str(container["name"]))
def test_every_container_runs_a_verb_of_the_program_as_tight_as_it_can_be(
    container: dict[str, Any], parse: Parse
) -> None:
    assert parse(container["args"]).info_name == container["args"][0]
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_readiness_is_asked_of_the_program_itself(parse: Parse) -> None:
    [container] = pod("migration-destination")["containers"]
    program, *question = container["readinessProbe"]["exec"]["command"]
    assert program == "migemu"
    assert parse(question).info_name == "probe"


@pytest.mark.parametrize("job", JOBS)
def test_a_job_ends_and_is_never_tried_twice(job: str) -> None:
    spec = JOBS[job]["spec"]
    assert spec["backoffLimit"] == 0  # a second source would meet a destination that has migrated already
    assert spec["activeDeadlineSeconds"] > 0
    assert pod(job)["restartPolicy"] == "Never"
    assert pod(job)["securityContext"]["runAsNonRoot"] is True
