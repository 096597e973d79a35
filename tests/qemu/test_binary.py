"""Finding a QEMU and starting it the right way."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from migemu.cli.qemu import qemu as cli
from migemu.errors import UsageError
from migemu.qemu import binary, shim

RULES = Path(__file__).parents[2] / "configs/order/k06-idx-missing.toml"
SAYS = "#!/bin/sh\necho QEMU emulator version {}\n"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty PATH folder and an empty cache."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MIGEMU_QEMU_DIR", raising=False)
    return tmp_path


def installed(root: Path, version: str) -> Path:
    return put(root / "bin" / binary.PROGRAM, SAYS.format(version))


def unpacked(folder: Path, version: str) -> Path:
    """A folder as get-qemu.sh makes it; its loader runs the program whatever libraries it is given."""
    put(folder / "usr/bin" / binary.PROGRAM, SAYS.format(version))
    put(folder / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", '#!/bin/sh\nshift 2\nexec "$@"\n')
    (folder / "usr/share/qemu").mkdir(parents=True)
    return folder


def test_a_qemu_in_a_folder_is_started_by_its_own_loader(tmp_path: Path) -> None:
    found = binary.launcher(unpacked(tmp_path / "qemu", "10.0.13"))
    assert found.version == (10, 0, 13)
    command = found.command(["-S"], tmp_path / "shim.so")
    assert command[0].endswith("ld-linux-x86-64.so.2")
    assert command[1] == "--library-path"
    assert command[3:5] == ["--preload", str(tmp_path / "shim.so")]
    assert command[5] == str(found.program)
    assert command[-3:] == ["-L", str(tmp_path / "qemu/usr/share/qemu"), "-S"]
    environment = found.environment(tmp_path / "shim.so")
    assert "LD_PRELOAD" not in environment
    assert environment["QEMU_MODULE_DIR"] == str(tmp_path / "qemu/usr/lib/x86_64-linux-gnu/qemu")


def test_its_program_by_path_is_the_same_qemu(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "qemu", "10.0.13")
    assert binary.launcher(folder / "usr/bin" / binary.PROGRAM) == binary.launcher(folder)


def test_an_installed_qemu_is_started_as_it_is(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "other.so")
    found = binary.launcher(installed(bare, "7.2.22"))
    assert found.command(["-S"], bare / "shim.so") == [str(found.program), "-S"]
    assert found.environment(bare / "shim.so")["LD_PRELOAD"] == f"{bare}/shim.so:other.so"


def test_the_one_on_path_is_preferred_while_it_is_new_enough(bare: Path) -> None:
    installed(bare, "10.1.0")
    unpacked(bare / "cache/migemu/qemu-11", "11.1.3")
    assert binary.find(at_least=(10, 0)).version == (10, 1, 0)
    assert binary.find(at_least=(11, 0)).version == (11, 1, 3)


def test_none_new_enough_says_what_there_is_and_what_to_do(bare: Path) -> None:
    installed(bare, "7.2.22")
    with pytest.raises(UsageError, match=r"no QEMU 10\.0 or newer \(found: 7\.2\.22\).*get-qemu\.sh"):
        binary.find(at_least=(10, 0))


def test_a_named_one_that_is_too_old_is_refused(bare: Path) -> None:
    with pytest.raises(UsageError, match=r"QEMU 7\.2\.22, this needs 10\.0"):
        binary.find(installed(bare, "7.2.22"), (10, 0))


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 3\n", "#!/nonesuch\n", "#!/bin/sh\necho bash 5\n"])
def test_what_is_no_qemu_is_told_apart(tmp_path: Path, text: str) -> None:
    program = put(tmp_path / "bin" / binary.PROGRAM, text)
    with pytest.raises(UsageError, match=binary.PROGRAM):
        binary.launcher(program)


def test_nothing_there_names_the_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}/usr/bin"):
        binary.launcher(tmp_path)


def test_the_shim_is_built_once(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shim.build(tmp_path)
    monkeypatch.setenv("PATH", "/nonesuch")  # no compiler is looked for again
    assert shim.build(tmp_path) == made
    assert made.name == library.name


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonesuch")
    with pytest.raises(UsageError, match="install gcc"):
        shim.build(tmp_path)


def test_a_compiler_that_fails_gives_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", str(put(tmp_path / "cc", "#!/bin/sh\necho x.c:1: error: too hot >&2\nexit 1\n")))
    with pytest.raises(UsageError, match="too hot"):
        shim.build(tmp_path)
    assert not list(tmp_path.glob("*.so"))


@pytest.mark.parametrize("words", [["rows"], ["rules", str(RULES)]])
@pytest.mark.usefixtures("bare")
def test_without_any_a_verb_says_what_to_do(words: list[str]) -> None:
    outcome = CliRunner().invoke(cli, words)
    assert isinstance(outcome.exception, UsageError)
    assert "no QEMU is here: name one with --qemu, or run tests/qemu/get-qemu.sh" in str(outcome.exception)


def test_a_folder_with_another_target_is_that_targets(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "qemu", "10.0.13")
    (folder / "usr/bin" / binary.PROGRAM).rename(folder / "usr/bin/qemu-system-aarch64")
    assert binary.launcher(folder).board.target == "aarch64"


def test_every_target_is_found_and_only_a_pcs_is_taken(bare: Path) -> None:
    put(bare / "bin/qemu-system-aarch64", SAYS.format("11.1.3"))
    installed(bare, "7.2.22")
    assert [one.board.target for one in binary.find_every()] == ["x86_64", "aarch64"]
    assert binary.find().version == (7, 2, 22)
