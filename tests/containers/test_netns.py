"""Two namespaces and a shaped veth: real kernel objects, gone afterwards whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from migemu.errors import MigemuError, UsageError
from migemu.link import netns
from migemu.link.netns import Pair, Qdisc, linked, qdisc_commands

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABIT = 125_000.0

Test = TypeVar("Test", bound="Callable[..., None]")


def root(test: Test) -> Test:
    """Mark a test that makes namespaces."""
    marked: Test = pytest.mark.root(pytest.mark.skipif(os.geteuid() != 0, reason="needs root")(test))
    return marked


SERVE = """
import socket
with socket.create_server(("198.18.0.2", 4444)) as server:
    print("listening", flush=True)
    with server.accept()[0] as peer:
        print(sum(len(data) for data in iter(lambda: peer.recv(65536), b"")))
"""
SEND = """
import socket
with socket.create_connection(("198.18.0.2", 4444), timeout=10) as peer:
    peer.sendall(bytes(2_000_000))
"""


def python(*words: str) -> list[str]:
    return [sys.executable, "-c", *words]


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return True
        time.sleep(0.02)
    return False


def move_two_megabytes(pair: Pair) -> int:
    """Two million bytes from the source's namespace to the destination's; how many arrived."""
    serve = pair.destination.command(*python(SERVE))
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        subprocess.run(pair.source.command(*python(SEND)), check=True, timeout=30)
        return int(server.stdout.read())


@root
@pytest.mark.parametrize("qdisc", netns.QDISCS)
def test_traffic_passes_through_the_queue_that_holds_the_rate(qdisc: Qdisc) -> None:
    with linked(200 * MEGABIT, qdisc) as pair:
        assert move_two_megabytes(pair) == 2_000_000
        show = pair.source.command("tc", "-s", "-j", "qdisc", "show", "dev", "eth0")
        [queue] = json.loads(subprocess.check_output(show))
    assert queue["kind"] == qdisc
    assert queue["bytes"] > 2_000_000  # the payload and its headers


@root
def test_nothing_of_the_pair_is_in_the_machines_own_network_and_nothing_stays() -> None:
    before = subprocess.check_output(["ip", "-br", "link"])
    with linked() as pair:
        assert subprocess.check_output(["ip", "-br", "link"]) == before
    assert gone(pair.source.pid)
    assert gone(pair.destination.pid)


@root
def test_a_killed_owner_takes_its_namespaces_along() -> None:
    code = (
        "from migemu.link.netns import linked\nimport time\n"
        "with linked() as pair:\n print(pair.source.pid, pair.destination.pid, flush=True)\n time.sleep(60)"
    )
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        holders = [int(pid) for pid in owner.stdout.readline().split()]
        owner.send_signal(signal.SIGKILL)
    assert len(holders) == 2
    assert all(gone(pid) for pid in holders)


@root
def test_a_step_that_the_kernel_refuses_is_named_and_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def record(end: netns.Namespace) -> None:
        seen.append(end.pid)

    monkeypatch.setattr(netns, "_bring_up", record)
    with pytest.raises(MigemuError, match=r"tc qdisc add .* tbf rate 80+\w* .*failed"), linked(1e30):
        pass
    assert all(gone(pid) for pid in seen)


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root"), linked():
        pass


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "tc" else tool)
    with pytest.raises(UsageError, match=r"`tc` \(Debian package iproute2\)"), linked():
        pass


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_link_without_a_rate_is_no_link(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(UsageError, match="above zero"), linked(rate):
        pass


def test_a_bucket_holds_what_the_link_carries_between_two_ticks() -> None:
    [slow] = qdisc_commands(MEGABIT, "tbf")
    [fast] = qdisc_commands(10_000 * MEGABIT, "tbf")
    # At a slow rate it is never below what offload hands over at once.
    assert slow[-6:] == ["rate", "1000000bit", "burst", "262144", "latency", "50ms"]
    assert fast[-6:] == ["rate", "10000000000bit", "burst", "1250000", "latency", "50ms"]


def test_htb_sends_everything_through_its_one_class() -> None:
    tree, leaf = qdisc_commands(MEGABIT, "htb")
    assert tree[-4:] == ["1:", "htb", "default", "1"]
    assert "1:1" in leaf
    assert leaf[leaf.index("rate") + 1] == "1000000bit"


SMALL = ("--set", "devices=2", "--set", "device.*.state_size=8 MiB", "--set", "ram.size=64 MiB")


def migemu(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "migemu", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@root
@pytest.mark.parametrize("qdisc", netns.QDISCS)
def test_a_migration_between_two_namespaces_is_verified(qdisc: Qdisc, tmp_path: Path) -> None:
    words = ("--rate", "1 Gbit/s", "--qdisc", qdisc, "run", *SMALL, "--out", str(tmp_path))
    done = migemu("netns", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"listening on {netns.DESTINATION_ADDRESS}" in done.stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["verdict"] == "completed"
    assert all(check["ok"] for check in result["verification"])
    assert result["throughput"]["device_state"] < 125e6  # the link is the kernel's, so nothing can be faster


@root
def test_a_failing_run_is_the_verbs_exit_code() -> None:
    done = migemu("netns", "run", *SMALL, "--set", "device.0.injected.write_error_at=1 MiB")
    assert done.returncode == 1
    assert "0000:00:01.0" in done.stdout


def test_asking_for_help_makes_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    from click.testing import CliRunner  # noqa: PLC0415  only here

    from migemu.cli.netns import netns as verb  # noqa: PLC0415  the room's module has the same name

    shown = CliRunner().invoke(verb, ["--rate", "1 Gbit/s", "run", "--help"])
    assert (shown.exit_code, shown.output.split()[0]) == (0, "Usage:")
