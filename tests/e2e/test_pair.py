"""Two processes as one run: whatever becomes of one of them, the run ends and says what it was."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from migemu import scenario
from migemu.cli import pair
from migemu.cli.place import Place
from migemu.observe.events import Event

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.observe.result import RunEnd

EVENT = Event(0.0, "destination", "main", "listening", {"host": "127.0.0.1", "port": 1}).encode()
LISTENS = f"print({EVENT!r}, flush=True)\n"
STAYS = "import time; time.sleep(600)"


class Acted(pair.Pair):
    """Both sides are actors."""

    def __init__(self, scratch: Path, **sides: str) -> None:
        super().__init__(scenario.default(), scratch, lambda _: None, Place())
        self._sides = sides

    def _command(self, side: str, option: str, address: str) -> list[str]:  # noqa: ARG002  they need none
        return [sys.executable, "-c", self._sides[side]]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "LAST_SECONDS", 0.3)


def run(acted: Acted) -> RunEnd:
    async def within() -> RunEnd:
        return await asyncio.wait_for(acted.run(), 30)

    return asyncio.run(within())


def test_a_side_that_stays_behind_the_other_is_ended_and_named(tmp_path: Path) -> None:
    end = run(Acted(tmp_path, destination=LISTENS + STAYS, source="raise SystemExit(1)"))
    assert end.exit_code == 1
    assert "destination: did not end by itself" in end.reasons
    assert "source: without a word" in end.reasons


def test_a_destination_that_never_listens_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "LISTEN_SECONDS", 0.3)
    end = run(Acted(tmp_path, destination=STAYS))
    assert end.reasons == ("destination: did not end by itself",)


def test_a_side_that_crashes_is_told_by_its_last_line(tmp_path: Path) -> None:
    end = run(Acted(tmp_path, destination="1 / 0"))
    assert end.reasons == ("destination: ZeroDivisionError: division by zero",)


def test_a_killed_side_is_told_by_its_signal(tmp_path: Path) -> None:
    end = run(Acted(tmp_path, destination="import os; os.kill(os.getpid(), 9)"))
    assert end.reasons == ("destination: killed by SIGKILL",)


def test_a_side_that_refuses_its_settings_makes_it_a_matter_of_usage(tmp_path: Path) -> None:
    end = run(Acted(tmp_path, destination="import sys; sys.stderr.write('migemu: no'); sys.exit(2)"))
    assert (end.exit_code, end.reasons) == (2, ("destination: no",))


def test_an_interruption_that_comes_before_the_processes_do_is_not_lost(tmp_path: Path) -> None:
    acted = Acted(tmp_path, destination=LISTENS + STAYS, source=STAYS)
    acted.interrupted = True
    end = run(acted)
    assert end.exit_code == 1
    assert "source" not in end.exits, "it was not even started"


def test_one_that_comes_before_anything_was_said_is_named_as_what_it_was(tmp_path: Path) -> None:
    acted = Acted(tmp_path, destination=STAYS, source=STAYS)
    acted.interrupted = True
    assert run(acted).reasons == ("interrupted before anything was migrated",)
