"""`migemu explore` as a person runs it: exit codes, Ctrl-C, a search that is taken up again."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from migemu.cli.explore import explore
from migemu.cli.interrupted import EXIT_CODE, Interrupted
from migemu.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.lab.explore import Outcome

SMALL = ("--strategy", "dfs", "--coarse", "--set", "handoff=load-finish", "--set", "devices=1")


def run(*arguments: str, code: int = 0) -> dict[str, Any]:
    """The outcome as JSON."""
    result = CliRunner().invoke(explore, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    told: dict[str, Any] = json.loads(result.output)
    return told


def test_a_search_goes_on_where_its_bound_was_met(tmp_path: Path) -> None:
    whole = run(*SMALL, "--budget", "2000", "--frontier", str(tmp_path / "whole.json"))
    kept = str(tmp_path / "frontier.json")
    first = run(*SMALL, "--budget", "100", "--frontier", kept)
    rest = run(*SMALL, "--budget", "2000", "--frontier", kept)
    assert (whole["exhausted"], first["exhausted"], rest["exhausted"]) == (True, False, True)
    assert first["verdict"] == "bound met: 100 schedules"
    assert rest["schedules"] == whole["schedules"]


def test_a_search_that_keeps_no_frontier_knows_the_states_it_has_been_in() -> None:
    told = run(*SMALL, "--budget", "100")
    assert told["exhausted"]
    assert re.fullmatch(r"exhausted: \d+ schedules, \d+ states", told["verdict"])


def test_a_finding_is_exit_code_1() -> None:
    told = run("--fault", "packet-lost", "--budget", "50", code=1)
    assert told["failure"]["token"].startswith("mig1")


def test_ctrl_c_ends_a_search_like_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(_outcome: Outcome) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("migemu.cli.explore._progress", press)
    monkeypatch.setattr("migemu.lab.explore.exploration.GARBAGE_EVERY", 60)
    kept = tmp_path / "frontier.json"
    told = run(*SMALL, "--budget", "2000", "--frontier", str(kept), code=EXIT_CODE)
    assert told["verdict"].startswith("bound met: interrupted (6")
    assert kept.exists()


def test_a_second_ctrl_c_ends_the_program_where_it_is() -> None:
    with Interrupted() as stopped:
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--side", "source", "--fault", "main-ends"], "does not happen on the source's side"),
        (["--side", "source", "--coarse"], "what a destination is sent"),
        (["--coarse", "--fine"], "opposite things"),
        (["--strategy", "dfs", "--jobs", "2"], "dfs runs in one process"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], told: str) -> None:
    error = CliRunner().invoke(explore, arguments).exception
    assert isinstance(error, UsageError)
    assert told in str(error)
