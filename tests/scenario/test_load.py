"""Scenario files, and the files they name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from migemu.errors import ConfigError
from migemu.scenario import default, load, loads

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.scenario import Side


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_scenario_without_a_name_is_called_like_its_file(tmp_path: Path) -> None:
    assert load(write(tmp_path / "mine.toml", ""), environ={}).name == "mine"
    assert load(write(tmp_path / "other.toml", 'name = "x"'), environ={}).name == "x"
    assert load(write(tmp_path / ("a" * 230 + ".toml"), ""), environ={}).name == "a" * 200


def test_without_a_file_it_is_the_default() -> None:
    assert load(environ={}) == default(environ={})


def test_paths_start_at_the_file_and_in_overrides_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    write(tmp_path / "vf.bin", "state")
    write(tmp_path / "here" / "other.bin", "other")
    file = write(
        tmp_path / "it.toml",
        '[[device]]\nstate = "vf.bin"\nconfig = "~/vf.bin"\nkeep = "kept"\n[ram]\nfile = "vf.bin"',
    )
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    scenario = load("../it.toml", environ={})
    (device,) = scenario.device
    assert device.state is not None
    assert device.state.samefile(tmp_path / "vf.bin")
    assert scenario.ram.file is not None
    assert scenario.ram.file.is_absolute()
    assert device.config == tmp_path / "vf.bin"
    (device,) = load(file, environ={}, overrides=["device.0.state=other.bin"]).device
    assert device.state == tmp_path / "here" / "other.bin"


def test_an_override_can_take_a_file_away(tmp_path: Path) -> None:
    file = write(tmp_path / "it.toml", '[[device]]\nstate = "none.bin"\nstate_size = 5')
    assert load(file, environ={}, overrides=['device.0.state=""']).device[0].stop_copy_size() == 5


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.toml", None, "cannot read {}: no such file; migemu config init {} writes one"),
        ("latin.toml", b'name = "\xe4"', "{}: not UTF-8 text; a scenario is a TOML file"),
        ("huge.toml", b"#" * (4 * 1024**2 + 1), "{}: larger than 4 MiB; is this a scenario?"),
        ("broken.toml", b"[a\n", "{}: not valid TOML: "),
    ],
)
def test_a_file_that_is_no_scenario_says_so(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert str(caught.value).startswith(says.replace("{}", str(path)))


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: Is a directory"):
        load(tmp_path, environ={})


@pytest.mark.parametrize(
    ("line", "says", "side"),
    [
        ('[ram]\nfile = "none"', "ram.file: cannot read {}/none: No such file or directory", "source"),
        ('[[device]]\nstate = "none"', "device.0.state: cannot read {}/none", "source"),
        ('[[device]]\nconfig = "none"', "device.0.config: cannot read {}/none", "source"),
        ('[[device]]\nstate = "."', "device.0.state: {} is not a regular file", "source"),
        ('[[device]]\nstate = "/dev/zero"', "device.0.state: /dev/zero is not a regular file", "source"),
        ('[[device]]\nkeep = "."', "device.0.keep: {} is a folder; name the file", "destination"),
        (
            '[[device]]\nkeep = "no/x"',
            "device.0.keep: the folder {}/no does not exist; create it",
            "destination",
        ),
    ],
)
def test_files_must_be_there_on_the_side_that_needs_them(
    tmp_path: Path, line: str, says: str, side: Side
) -> None:
    other: Side = "destination" if side == "source" else "source"
    assert loads(line, base=tmp_path, environ={}, side=other)
    for needed in (side, None):
        with pytest.raises(ConfigError) as caught:
            loads(line, "it", base=tmp_path, environ={}, side=needed)
        assert str(caught.value).startswith("it: " + says.replace("{}", str(tmp_path)))


@pytest.mark.parametrize("line", ['state = "secret"', 'keep = "secret"'])
def test_a_file_that_may_not_be_used_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    write(tmp_path / "secret", "x")
    monkeypatch.setattr(os, "access", lambda *_: False)  # chmod does not stop root
    with pytest.raises(ConfigError, match="secret: Permission denied"):
        loads(f"[[device]]\n{line}", base=tmp_path, environ={})


@pytest.mark.parametrize("path", ["a\\u0000b", "a\\nb"])
def test_a_path_no_file_can_have_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be written in a scenario file"):
        loads(f'[[device]]\nstate = "{path}"', environ={})
