"""docs/bugs.md and `migemu bugs table`: the page names every bug, as the catalogue does."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from migemu.cli import cli
from migemu.cli.bugs_table import HEADINGS
from migemu.lab import bugs

PAGE = (Path(__file__).parents[3] / "docs/bugs.md").read_text(encoding="utf-8")


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


ROWS = {
    row[0]: dict(zip(HEADINGS, row, strict=True))
    for row in map(cells_of, PAGE.splitlines())
    if len(row) == len(HEADINGS)
}


def test_the_page_has_every_bug_as_it_is() -> None:
    for bug in bugs.catalogue():
        row = ROWS[bug.name]
        assert row["breaks"] == f"`{bug.breaks}`"
        assert row["what"].removesuffix(" (hypothesis)") == bug.title
        assert row["what"].endswith("(hypothesis)") == bug.hypothesis
        assert row["budget"] == f"{bug.hunt.schedules:,}, {bug.hunt.seconds:g} s"
        assert bool(row["real"]) == (bug.real is not None)


def test_the_command_makes_such_rows() -> None:
    """Found by the same schedule wherever it runs; the page says which."""
    printed = CliRunner().invoke(cli, ["bugs", "table", "B13", "B16"]).stdout.splitlines()
    assert printed[0] == f"| {' | '.join(HEADINGS)} |"
    for line in printed[2:]:
        cells = cells_of(line)
        assert ROWS[cells[0]]["found by"] == cells[4]
        assert cells[6].startswith("exhausted")


def test_a_row_is_an_object_too() -> None:
    printed = CliRunner().invoke(cli, ["bugs", "table", "--json", "--budget", "5", "B16"])
    row = json.loads(printed.stdout)
    assert (row["name"], row["correct"], row["exhausted"], row["passes"]) == ("B16", 5, False, True)
