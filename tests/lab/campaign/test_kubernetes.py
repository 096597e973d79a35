"""docker/k8s/campaign*: manifests the API's own schemas accept, and whose pods do what the program offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migemu.cli.campaign import campaign

if TYPE_CHECKING:
    import click

yaml = pytest.importorskip("yaml", reason="PyYAML is of the dev extra")

FOLDER = Path(__file__).resolve().parents[3] / "docker" / "k8s"
OBJECTS: list[dict[str, Any]] = [
    item for path in sorted(FOLDER.glob("campaign*/*.yaml")) for item in yaml.safe_load_all(path.read_text())
]
BY_NAME = {(item["kind"], item["metadata"]["name"]): item["spec"] for item in OBJECTS}
JOB = BY_NAME["Job", "campaign"]
MERGE = BY_NAME["Job", "campaign-merge"]


def pod(job: dict[str, Any]) -> Any:
    return job["template"]["spec"]


def parsed(job: dict[str, Any], index: str, monkeypatch: pytest.MonkeyPatch) -> click.Context:
    """The program's own reading of what a pod runs."""
    [container] = pod(job)["containers"]
    verb, name, *rest = container["args"]
    assert verb == "campaign"
    monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    return campaign.commands[name].make_context(name, rest)


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: f"{item['kind']}/{item['metadata']['name']}")
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_the_api_would_accept_it(item: dict[str, Any], version: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="of the dev extra")
    validator.validate(item, version, strict=True)


def test_every_index_is_a_shard_and_every_shard_has_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    assert JOB["completionMode"] == "Indexed"
    for index in (0, JOB["completions"] - 1):
        read = parsed(JOB, str(index), monkeypatch).params
        assert (read["index"], read["of"]) == (index, JOB["completions"])


def test_what_the_shards_keep_is_what_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    out = parsed(JOB, "0", monkeypatch).params["out"]
    [container] = pod(MERGE)["containers"]
    assert container["args"] == ["campaign", "merge", str(out)]
    for job in (JOB, MERGE):
        [mounted] = [
            m["name"] for m in pod(job)["containers"][0]["volumeMounts"] if m["mountPath"] == str(out)
        ]
        [claim] = [v["persistentVolumeClaim"] for v in pod(job)["volumes"] if v["name"] == mounted]
        assert ("PersistentVolumeClaim", claim["claimName"]) in BY_NAME


def test_a_lost_pod_is_tried_again_and_a_wrong_file_is_not() -> None:
    assert JOB["backoffLimit"] > 0
    assert JOB["activeDeadlineSeconds"] > 0
    fails, ignored = JOB["podFailurePolicy"]["rules"]
    assert (fails["action"], fails["onExitCodes"]["values"]) == ("FailJob", [2])
    assert fails["onExitCodes"]["containerName"] == pod(JOB)["containers"][0]["name"]
    assert (ignored["action"], pod(JOB)["restartPolicy"]) == ("Ignore", "Never")


@pytest.mark.parametrize("job", [JOB, MERGE], ids=["campaign", "merge"])
def test_pods_may_do_nothing_but_compute(job: dict[str, Any]) -> None:
    [container] = pod(job)["containers"]
    assert pod(job)["securityContext"]["runAsNonRoot"] is True
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
