"""Asking a port whether a destination is ready: the answers, and all that is no answer."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from migemu.cli.probe import PAUSE, ask, ask_until
from migemu.errors import PeerError, PeerTimeoutError, WireError
from migemu.threads.native import NativeThreads
from migemu.wire.probe import ANSWER, MAX_ANSWER, QUESTION, STATES, Readiness, decode_readiness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = Readiness(migemu="0.1.0", state="waiting")


@contextmanager
def listener(answer: bytes | None, port: int = 0) -> Iterator[tuple[str, int]]:
    """A port that reads the question and gives `answer`; None: says nothing until it is left."""
    with socket.create_server(("127.0.0.1", port)) as server:
        left = threading.Event()

        def serve() -> None:
            with server.accept()[0] as peer:
                assert peer.recv(len(QUESTION), socket.MSG_WAITALL) == QUESTION
                if answer is None:
                    left.wait(10)
                else:
                    peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()
        finally:
            left.set()
            thread.join(10)


def answered(body: object) -> bytes:
    text = json.dumps(body).encode()
    return ANSWER + struct.pack(">H", len(text)) + text


@pytest.mark.parametrize("state", STATES)
def test_an_answer_is_read_as_it_was_given_however_it_is_cut(state: str) -> None:
    told = Readiness(migemu="0.1.0", state=state)
    data = told.encode()
    assert [decode_readiness(data[:have]) for have in range(len(data))] == [None] * len(data)
    assert decode_readiness(data) == told


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "begins with 5353482d"),
        (ANSWER + struct.pack(">H", MAX_ANSWER + 1), "at most 1024"),
        (ANSWER + struct.pack(">H", 2) + b"{]", "is not JSON"),
        (ANSWER + struct.pack(">H", MAX_ANSWER) + b"[" * MAX_ANSWER, "is not JSON: RecursionError"),
        (answered([]), "is not a JSON object"),
        (answered({"state": "waiting"}), "not a destination's: version None"),
        (answered({"migemu": "0.1.0"}), "not a destination's: version '0.1.0', state None"),
        (
            answered({"migemu": "0.1.0", "state": "asleep"}),
            "not a destination's: .* 'asleep'",
        ),
        (answered({"migemu": 1, "state": "waiting"}), "state"),
        (answered({"migemu": "0.1.0", "state": []}), "state"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        decode_readiness(data)


def test_a_destination_says_what_it_is_doing() -> None:
    with listener(READY.encode()) as (host, port):
        assert ask(NativeThreads(), host, port, 5) == READY


def test_a_port_that_nobody_listens_at_is_no_destination() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
    with pytest.raises(PeerError, match=f"no destination at {host}:{port}: .*refused"):
        ask(NativeThreads(), host, port, 5)


@pytest.mark.parametrize("answer", [b"", ANSWER])
def test_a_listener_that_closes_without_an_answer_is_no_destination(answer: bytes) -> None:
    with listener(answer) as (host, port), pytest.raises(PeerError, match="not a migemu destination"):
        ask(NativeThreads(), host, port, 5)


def test_a_listener_that_says_nothing_is_not_waited_for_without_end() -> None:
    with listener(None) as (host, port), pytest.raises(PeerTimeoutError, match=r"within 0\.05 s"):
        ask(NativeThreads(), host, port, 0.05)


class Patient(NativeThreads):
    """Time that passes only in sleeps; at the third one a destination begins to listen."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.time, self.port = 0.0, port
        self.listener = listener(READY.encode(), port)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if round(self.time / PAUSE) == 3:
            self.listener.__enter__()


def test_waiting_asks_again_until_the_destination_is_there() -> None:
    threads = Patient(unused_port())
    assert ask_until(threads, "127.0.0.1", threads.port, timeout=5, wait=10) == READY
    threads.listener.__exit__(None, None, None)
    assert threads.time == 3 * PAUSE


def test_waiting_ends() -> None:
    threads = Patient(unused_port())
    with pytest.raises(PeerError, match="refused"):
        ask_until(threads, "127.0.0.1", threads.port, timeout=5, wait=3 * PAUSE)
    assert threads.time == 2 * PAUSE


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def migemu(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "migemu", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(*words: str) -> tuple[int, str]:
    """Exit code of a verb, and all that it said."""
    with migemu(*words) as process:
        return process.wait(30), "".join(process.communicate())


def test_the_verb_says_no_in_one_line_and_by_its_exit_code() -> None:
    code, text = said("probe", f"127.0.0.1:{unused_port()}")
    assert (code, len(text.splitlines())) == (1, 1)
    assert "no destination at" in text


def test_a_migration_is_not_disturbed_by_being_asked_all_the_time() -> None:
    settings = ("devices=1", "device.*.state_size=4 MiB", "device.*.write_rate=8 MiB/s", "ram.size=64 MiB")
    small = (*(word for setting in settings for word in ("--set", setting)), "--json")
    answers = set()
    with migemu("destination", "--listen", "127.0.0.1:0", *small) as destination:
        assert destination.stdout is not None
        told = map(json.loads, destination.stdout)
        listening = next(event for event in told if event["event"] == "listening")
        host, port = listening["host"], listening["port"]
        with migemu("source", "--connect", f"{host}:{port}", *small) as source:
            while source.poll() is None:
                answers.add(state_of(host, port))
            events = destination.communicate(timeout=30)[0]
            source.communicate(timeout=30)
        assert (source.returncode, destination.returncode) == (0, 0)
    assert {"waiting", "migrating"} <= answers
    assert (
        "connection_refused" not in events.partition("dst-precopy-bh-vm-started")[0]
    )  # later nobody is let in


def state_of(host: str, port: int) -> str | None:
    """What the destination says it is doing; None once it has gone."""
    try:
        return ask(NativeThreads(), host, port, 5).state
    except PeerError:
        return None


def test_over_tls_only_the_right_certificate_is_answered(tmp_path: Path) -> None:
    right, wrong = str(tmp_path / "right"), str(tmp_path / "wrong")
    for folder in (right, wrong):
        assert said("tls", "init", folder)[0] == 0
    with migemu(
        "destination", "--listen", "127.0.0.1:0", "--json", "--set", f"tls.dir={right}"
    ) as destination:
        assert destination.stdout is not None
        told = map(json.loads, destination.stdout)
        listening = next(event for event in told if event["event"] == "listening")
        address = f"127.0.0.1:{listening['port']}"
        assert said("probe", address, "--tls", right)[0] == 0
        assert said("probe", address)[0] == 1
        assert said("probe", address, "--tls", wrong)[0] == 1
        destination.terminate()
        destination.communicate(timeout=30)
