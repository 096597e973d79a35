"""The pages: every link leads somewhere, every command line on them is one that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from migemu.cli import cli, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docker" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
SHOWN = re.compile(r"^(?:\$ )?(migemu .*)$")
COMMENT = re.compile(r"\s#\s.*$")
STOPS = {"|", ">", ">>", "<", "&", "&&", ";", "||"}


def name(page: Path) -> str:
    """What a test is called by."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The headings, as a browser is sent to them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def commands(page: Path) -> Iterator[list[str]]:
    """The program's command lines that stand by themselves: without their comment, pipe and redirection."""
    fenced = False
    for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        fenced ^= line.startswith("```")
        shown = SHOWN.match(line if fenced else line.removeprefix("    ") if line.startswith("    ") else "")
        if shown is None or "..." in shown[1]:
            continue
        lexer = shlex.shlex(COMMENT.sub("", shown[1]), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words = list(lexer)
        yield words[1 : next((at for at, word in enumerate(words) if word in STOPS), len(words))]


def parse(command: click.Command, words: list[str], path: str = "migemu") -> None:
    """Read `words` as the command line would, down to the verb; nothing is run.

    Raises:
        click.UsageError: they are no command line of it.
    """
    context = command.make_context(path, list(words))
    if isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
        _, below, left = command.resolve_command(context, rest)
        assert below is not None
        parse(below, left, f"{path} {rest[0]}")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for file, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        there = page.parent / file if file else page
        assert there.exists(), file
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{file}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_is_one_that_the_program_takes(page: Path) -> None:
    for words in commands(page):
        try:
            parse(cli, words)
        except click.exceptions.Exit:
            assert "--help" in words
        except click.ClickException as error:
            pytest.fail(f"migemu {shlex.join(words)}: {error.format_message()}")


def test_every_page_is_in_the_readme() -> None:
    there = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page for page in map(name, PAGES[1:]) if page not in there] == []


def test_the_pages_show_command_lines_at_all() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 50


def test_the_walk_from_a_suspicion_to_a_token_ends_at_the_token_of_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "reproduce-an-ordering-bug.md").read_text(encoding="utf-8")
    mine, _, changed, *_ = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    rest = mine.partition("[ram]")[2]
    (tmp_path / "early.toml").write_text(f"{changed}\n[ram]{rest}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["explore", "early.toml"])
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("replay: migemu replay --scenario early.toml mig1")
    assert [line for line in (told[0], *told[2:]) if line not in page] == []
