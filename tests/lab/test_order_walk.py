"""docs/reproduce-an-ordering-bug.md: the walk from a suspicion to a token can be walked."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from migemu.cli import cli
from migemu.scenario import load

PAGE = (Path(__file__).parents[2] / "docs/reproduce-an-ordering-bug.md").read_text(encoding="utf-8")
MINE, EARLY_DATA, PLATFORM, BY_HAND = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def early() -> str:
    """The page's second machine: the first one with another name, hand-off and platform."""
    return re.sub(r"\Aname = .*\nhandoff = .*\n", PLATFORM, MINE)


def saved(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_suspicion_is_a_scenario(tmp_path: Path) -> None:
    rules = load(Path(saved(tmp_path, "early-data.toml", MINE + EARLY_DATA))).order
    assert [rule.name for rule in rules] == ["mark-behind-channel-1", "barrier-behind-the-data"]


def test_the_first_machine_has_nothing_to_be_found(tmp_path: Path) -> None:
    mine = saved(tmp_path, "mine.toml", MINE)
    assert CliRunner().invoke(cli, ["explore", mine, "--budget", "300"]).exit_code == 0


def test_the_second_one_has_and_its_token_goes_all_the_way_to_rules(tmp_path: Path) -> None:
    file = saved(tmp_path, "early.toml", early())
    found = CliRunner().invoke(cli, ["explore", file])
    assert found.exit_code == 1
    assert "invariant config-after-iterables breaks" in found.output
    assert "leaves the passing order: at 3 instead of: main channel brings more" in found.output
    token = found.output.split()[-1]
    assert CliRunner().invoke(cli, ["replay", "--scenario", file, token]).exit_code == 1
    printed = CliRunner().invoke(cli, ["replay", "--scenario", file, token, "--as-rules"])
    assert printed.stdout.count("[[order]]") == PAGE.count("with 20 `[[order]]` rules") * 20


def test_the_rule_by_hand_does_what_the_page_says(tmp_path: Path) -> None:
    broken = saved(tmp_path, "by-hand.toml", early() + BY_HAND)
    settings = "--set", "handoff=load-ready", "--set", "platform.allow_early_config=false"
    assert CliRunner().invoke(cli, ["run", broken, "--json"]).exit_code == 1
    assert CliRunner().invoke(cli, ["run", broken, "--json", *settings]).exit_code == 0
