"""Ctrl-C and SIGTERM end every verb: soon, in a line, without a traceback, and nobody stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = ["campaign", "plan", "--schedules", "1000000"]
ENDS = 30.0
"""Seconds, on the slowest of machines."""


def start(*words: str) -> subprocess.Popen[str]:
    """The program in a session of its own, so that whoever is left of it can be found."""
    return subprocess.Popen(
        [sys.executable, "-m", "migemu", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A million schedules on two processes, once they are at it."""
    spec = tmp_path / "spec.json"
    spec.write_text(subprocess.check_output([sys.executable, "-m", "migemu", *SPEC], text=True))
    going = start("campaign", "run", str(spec), "--jobs", "2", "--out", str(tmp_path / "out"), "--shard", "5")
    while not list(tmp_path.glob("out/shard-*")) and going.poll() is None:
        time.sleep(0.05)
    yield going
    with suppress(ProcessLookupError):
        os.killpg(going.pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_campaign_keeps_what_is_done_and_ends_its_processes(
    campaign: subprocess.Popen[str], number: signal.Signals
) -> None:
    campaign.send_signal(number)
    _, said = campaign.communicate(timeout=ENDS)  # every process that holds the pipes has ended
    assert (campaign.returncode, "Traceback" in said) == (1, False), said
    assert said.splitlines()[-1].endswith("left; the same command goes on")


@pytest.mark.parametrize("words", [["--help"], ["bugs"], ["run", "--virtual", "--json"]])
def test_output_that_finds_no_room_is_a_line_and_a_failure(words: list[str]) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123  it is no path to speak of
        ended = subprocess.run(
            [sys.executable, "-m", "migemu", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "migemu: No space left on device\n")


@pytest.mark.parametrize("words", [["bugs"], ["run", "--virtual", "--json"]])
def test_a_reader_that_goes_away_ends_it_silently(words: list[str]) -> None:
    with start(*words) as going:
        assert going.stdout is not None
        assert going.stderr is not None
        going.stdout.close()
        assert going.stderr.read() == ""
        assert going.wait(ENDS) == 1
