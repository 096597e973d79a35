"""The Dockerfile keeps to what every builder knows, and makes what the compose file counts on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker" / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """(instruction, argument) of each logical line, comments left out."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines())
    ]


def arguments(instruction: str) -> list[str]:
    return [argument for word, argument in instructions() if word == instruction]


@pytest.mark.parametrize("newer", ["# syntax", "--mount=", "--chmod", "--link", "<<"])
def test_it_uses_nothing_that_an_older_builder_lacks(newer: str) -> None:
    assert newer not in TEXT


def test_it_ends_as_a_numbered_user_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", arguments("USER")[-1])


def test_the_users_folders_are_there_for_volumes_to_take_over() -> None:
    folders = "/results /certificates"
    assert f"mkdir {folders} && chown {arguments('USER')[-1]} {folders}" in arguments("RUN")


def test_pip_is_called_by_path_and_stays_behind() -> None:
    pips = re.findall(r"\S*pip\b(?= --python)", " ".join(arguments("RUN")))
    assert pips
    assert set(pips) == {"/opt/pip/bin/pip"}
    assert [copy for copy in arguments("COPY") if copy.startswith("--from")] == [
        "--from=build /opt/venv /opt/venv"
    ]


def test_all_stages_stand_on_one_base() -> None:
    bases = [stage.split()[0] for stage in arguments("FROM")]
    assert bases == ["${BASE}", "${BASE}"]


def test_the_context_holds_what_is_copied_and_no_more() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    copied = {name for copy in arguments("COPY") if "--from" not in copy for name in copy.split()[:-1]}
    assert "*" in ignore
    assert allowed == copied
