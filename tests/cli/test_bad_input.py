"""What a person gets wrong is said in a line that helps, with exit code 2, before anything is run."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from migemu.cli import main
from migemu.observe.events import Event

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "garbage": b"\x00\xff\xfe" * 100,
    "empty": b"",
    "cut.toml": b'name = "x',
    "latin.toml": b'name = "\xe9"',
    "near.toml": b"[migration]\nchanels = 2\n",
    "flat.toml": b"channels = 2\n",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files that are wrong in every way, and a folder in it."""
    monkeypatch.chdir(tmp_path)
    for name, held in {"folder": "x", "study": "study.json", "run": "result.json"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / held).touch()
    (tmp_path / "run" / "events.jsonl").write_text(f"{Event(0.0, 'destination', 'main', 'error').encode()}\n")
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What the program says; it must end at once with exit code 2, and with nothing on stdout."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    said = capfd.readouterr()
    assert (ended.value.code, said.out) == (2, ""), said
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 4, "a line, below a usage of two"
    return said.err


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("rum", "did you mean 'run'?"),
        ("frobnicate", "there are: run, source"),
        ("run nosuch.toml", "migemu config init nosuch.toml writes one"),
        ("run folder", "cannot read folder: Is a directory"),
        ("run garbage", "not UTF-8 text"),
        ("run latin.toml", "not UTF-8 text"),
        ("run cut.toml", "not valid TOML"),
        ("run near.toml", 'did you mean "channels"?'),
        ("run flat.toml", 'did you mean "migration.channels"?'),
        ("run --set write_rate=1", 'did you mean "device.*.write_rate"?'),
        ("run --set channels=0", "must be at least 1"),
        ("run --out garbage", "cannot write to garbage: it is not a folder"),
        ("run --record garbage", "cannot write to garbage: it is not a folder"),
        ("run --record garbage/deeper", "cannot write to garbage/deeper: Not a directory"),
        ("run --virtual --out study", "study holds a study of many runs"),
        ("sweep --virtual --out run", "run holds a run"),
        (
            "compare --virtual --handoffs load-ready,nosuch",
            "unknown hand-off 'nosuch'; there are: main-channel",
        ),
        ("report nosuch", "nosuch holds nothing to report"),
        ("trace nosuch", "cannot read events: nosuch/events.jsonl: No such file"),
        ("join run run", "run is not what migemu source --out kept: its events are of the other side"),
        ("source --connect localhost:0", "name the port that the other side listens on"),
        ("source --connect [::1:4444", "is not HOST:PORT"),
        ("probe 127.0.0.1:99999", "is not HOST:PORT"),
        ("destination --listen 127.0.0.1:0 --follow garbage", "does not tell the order"),
        ("destination --listen 127.0.0.1:0 --record garbage", "it is not a folder"),
    ],
)
def test_a_slip_is_named_with_the_way_out(capfd: pytest.CaptureFixture[str], words: str, hint: str) -> None:
    assert hint in refused(capfd, *words.split())


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["explore", "--budget", "soon"], 'or "20000, 60 s"'),
        (["explore", "--strategy", "dfs", "--frontier", "garbage"], "no frontier that --frontier kept"),
        (["explore", "--strategy", "dfs", "--frontier", "nowhere/f"], "cannot write nowhere/f"),
        (["campaign", "plan", "--fault", "flood"], "is not one of 'channel-ends'"),
        (["campaign", "plan", "--correct"], "--correct goes with --bug"),
        (["campaign", "run", "garbage"], "garbage: not JSON"),
        (["bugs", "show", "Z9"], "no bug 'Z9' in the catalogue; there are: B1"),
        (["bugs", "reproduce", "D1", "--times", "3"], "--times goes with --real or --qemu"),
        (["tap", "--listen", "127.0.0.1:0", "--connect", "unix:"], "is not HOST:PORT"),
        (["tls", "init", "creds", "--host", ""], "'' is no name for a certificate"),
        (["tls", "init", "creds", "--client", "a b"], "'a b' is no name for a certificate"),
        (["netns", "--rate", "fast", "run"], '"fast" is not a rate'),
        (["qemu", "doctor", "--qemu", "garbage"], "no QEMU program at garbage"),
        (["decode", "garbage"], "holds no connection of a migration"),
        (["replay", "empty"], "holds no connection of a migration"),
        (["sweep", "--baseline", "garbage", "--virtual"], "not a sweep of this version"),
    ],
)
def test_so_is_what_the_tools_are_given(
    capfd: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    assert hint in refused(capfd, *words)


@pytest.mark.parametrize("verb", ["destination", "host", "tap --connect 127.0.0.1:1"])
def test_a_port_that_is_taken_is_said_in_one_breath(capfd: pytest.CaptureFixture[str], verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        told = refused(capfd, *verb.split(), "--listen", address)
    assert told == f"migemu: cannot listen on {address}: Address already in use\n"


def test_a_search_that_cannot_be_kept_leaves_the_one_before(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["explore", "--strategy", "dfs", "--budget", "5", "--frontier", "search"]
    with pytest.raises(SystemExit):
        main(words)
    before = (place / "search").read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    assert "could not be kept in search: No space left on device" in capfd.readouterr().err
    assert (place / "search").read_bytes() == before
    assert not (place / "search.new").exists()


def test_a_full_disk_takes_the_files_of_a_run_and_not_its_figures(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pathlib.Path.write_text", full_disk)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--virtual", "--out", str(place / "kept")])
    said = capfd.readouterr()
    assert ended.value.code == 1
    assert "VM              may run on the destination" in said.out
    assert said.err.endswith("kept: No space left on device\n")
    assert "kept in" not in said.out


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
