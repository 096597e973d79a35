"""``migemu config``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from migemu.cli.config import config
from migemu.errors import ConfigError, UsageError
from migemu.scenario import default, default_text, load

if TYPE_CHECKING:
    from pathlib import Path


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(config, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_new_file_is_the_commented_default_and_is_never_replaced_unasked(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert str(file) in call("init", file)
    assert file.read_text(encoding="utf-8") == default_text()
    file.write_text("seed = 5\n")
    with pytest.raises(UsageError, match="--force replaces it"):
        call("init", file)
    assert file.read_text() == "seed = 5\n"
    call("init", file, "--force")
    assert file.read_text(encoding="utf-8") == default_text()


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*: No such file or directory"):
        call("init", tmp_path / "no" / "mine.toml")


def test_init_prints_on_request() -> None:
    assert call("init", "-") == default_text()


def test_a_right_file_is_told_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    call("init", file)
    assert call("check", file, "--set", "devices=2", "--set", "channels=3") == (
        f"{file}: ok, 2 devices (202 MiB), 3 channels, RAM 256 MiB, load-ready, machine 11.1\n"
    )


def test_the_effective_scenario_can_be_kept_as_a_file(tmp_path: Path) -> None:
    file, kept = tmp_path / "mine.toml", tmp_path / "kept.toml"
    call("init", file)
    kept.write_text(call("check", file, "--effective", "--set", "seed=9"))
    assert load(kept, environ={}) == default(environ={}, overrides=["seed=9"])


def test_a_wrong_file_is_an_error_with_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("sed = 1\n[link]\ndelay = 3\n")
    with pytest.raises(ConfigError) as caught:
        call("check", file)
    assert [line.split(": ")[:2] for line in str(caught.value).split("\n")] == [
        [str(file), "link.delay"],
        [str(file), "sed"],
    ]


def test_a_side_looks_only_at_its_own_files(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[device]]\nstate = "none.bin"\n')
    assert "ok, 1 device" in call("check", file, "--side", "destination")
    with pytest.raises(ConfigError, match=r"none\.bin"):
        call("check", file, "--side", "source")


def test_the_schema_is_json() -> None:
    assert json.loads(call("schema"))["title"] == "migemu scenario"
