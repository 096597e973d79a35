"""Order rules of a scenario, played to real QEMUs: by our source, and by a tap between two of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from migemu.cli.qemu import qemu as cli
from migemu.errors import UsageError
from migemu.observe.model import InvariantResult, Result
from migemu.qemu import rules, rules_play
from migemu.qemu.binary import Launcher
from migemu.qemu.hostile.verdict import Kind
from migemu.scenario import load, loads
from peering.bench import qemu

if TYPE_CHECKING:
    from migemu.qemu.hostile.verdict import Verdict
    from migemu.scenario import Scenario
    from migemu.scenario.order import Order

CONFIGS = Path(__file__).parents[2] / "configs/order"
FILES = sorted(CONFIGS.glob("**/*.toml"))


def sent(launcher: Launcher, name: str, folder: Path, *overrides: str) -> Verdict:
    scenario = load(CONFIGS / f"{name}.toml", overrides=overrides)
    return asyncio.run(rules_play.to_destination(scenario, launcher, folder))


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["b01-config-before-data", "b02-config-before-interrupt-controller"])
def test_an_order_that_may_be_comes_to_nothing(vfio_qemu: Launcher, tmp_path: Path, name: str) -> None:
    verdict = sent(vfio_qemu, name, tmp_path)
    assert (verdict.kind, verdict.text, verdict.shut) == (Kind.OK, "", 0)


@pytest.mark.qemu
def test_a_lost_packet_of_ram_is_seen_by_nobody_but_us(any_qemu: Launcher, tmp_path: Path) -> None:
    verdict = sent(any_qemu, "c05-ram-packet-lost", tmp_path)
    assert verdict.kind is Kind.WRONG
    assert "RAM is not what was sent" in verdict.text


@pytest.mark.qemu
def test_a_device_that_was_given_nothing_is_told(vfio_qemu: Launcher, tmp_path: Path) -> None:
    verdict = sent(vfio_qemu, "k19-no-switchover-start", tmp_path)
    assert verdict.kind is Kind.WRONG
    assert "0000:00:02.0/vfio was given 0 bytes, not the 2097152 sent" in verdict.text


@pytest.mark.qemu
def test_what_it_says_no_to_is_told_in_its_words(vfio_qemu: Launcher, tmp_path: Path) -> None:
    verdict = sent(vfio_qemu, "b29-idx-invalid", tmp_path)
    assert verdict.kind in (Kind.ERROR, Kind.HANG, Kind.CRASH)  # whichever of its threads is first
    assert verdict.kind is not Kind.ERROR or "packet index is invalid" in verdict.text


@pytest.mark.qemu
def test_the_limit_of_a_scenario_is_the_limit_of_a_qemus_queue(tmp_path: Path) -> None:
    verdict = sent(qemu(11), "b30-first-buffer-late-as-qemu", tmp_path)
    assert verdict.kind is Kind.ERROR
    assert "would exceed the size max of 262144" in verdict.text


@pytest.mark.qemu
@pytest.mark.parametrize("major", [10, 11])
def test_data_before_main_has_said_a_word_ends_it(tmp_path: Path, major: int) -> None:
    verdict = sent(qemu(major), "qemu/c07-data-before-main", tmp_path)
    assert (verdict.kind, "signal 11" in verdict.text) == (Kind.CRASH, True)


@pytest.mark.qemu
def test_a_rule_that_did_nothing_is_told(any_qemu: Launcher, tmp_path: Path) -> None:
    rule = (
        '[[order]]\nname = "none"\ntype = "drop"\nrequired = true\nselect = { flag = "ram", nth = 99999 }\n'
    )
    scenario = loads('[ram]\nsize = "4 MiB"\nworking_set = "1 MiB"\n' + rule, "test")
    verdict = asyncio.run(rules_play.to_destination(scenario, any_qemu, tmp_path))
    assert (verdict.kind, "order rule none (drop) never fired" in verdict.text) == (Kind.OK, True)


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("name", "kind"), [("b13-main-connects-last", Kind.OK), ("k19-no-switchover-start", Kind.WRONG)]
)
def test_the_same_files_act_between_two_qemus(
    vfio_qemu: Launcher, tmp_path: Path, name: str, kind: Kind
) -> None:
    """Whose packets are as small as the scenario says, and whose main channel is the first to connect."""
    scenario = load(CONFIGS / f"{name}.toml")
    assert asyncio.run(rules_play.between(scenario, vfio_qemu, tmp_path)).kind is kind


@pytest.mark.qemu
def test_the_verb_plays_files_and_prints_the_table(any_qemu: Launcher) -> None:
    file = CONFIGS / "b18-stale-page.toml"
    words = ["rules", str(file), "--qemu", str(any_qemu.program), "--markdown"]
    outcome = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert outcome.exit_code == 0
    assert f"b18-stale-page {any_qemu.version_text}" in outcome.output
    assert "| **b18-stale-page** B18: channel 0 is slow" in outcome.output


# without a QEMU


def launcher(*version: int) -> Launcher:
    return Launcher(Path("/nonesuch/qemu-system-x86_64"), version)


def ordered(rule: str) -> Scenario:
    return loads(f'[[device]]\nstate_size = "1 MiB"\n[[order]]\nname = "it"\n{rule}', "test")


def selects(order: Order) -> tuple[str, str, str, str]:
    return order.stream, order.select.record, order.select.section, order.attributes.until.stream


GIC = 'select = { record = "SectionFull", section = "migemu-gic" }\n'
UNTIL = 'attributes = { until = { flag = "config", stream = "in" } }'


def test_what_arrives_at_ours_is_what_is_sent_to_a_qemu() -> None:
    scenario = ordered('type = "hold"\n' + GIC + UNTIL)
    assert [selects(one) for one in rules.for_source(scenario.order)] == [
        ("out", "SectionFull", "timer", "out")
    ]
    assert [selects(one) for one in rules.between(scenario.order)] == [("in", "Tail", "", "in")]


def test_what_was_recorded_keeps_its_sections() -> None:
    scenario = ordered('type = "hold"\n' + GIC + UNTIL)
    assert selects(rules.for_source(scenario.order, platform="")[0])[:3] == (
        "out",
        "SectionFull",
        "migemu-gic",
    )


def test_the_main_channel_is_the_first_connection_of_a_qemu() -> None:
    rule = 'type = "delay"\nstream = "out"\nattributes = { latency = "1 s" }\n'
    (changed,) = rules.between(ordered(rule + 'select = { record = "Connect", channel = "main" }').order)
    assert (changed.select.channel, changed.select.nth) == ("", "1")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ('type = "drop"\nstream = "return"\nselect = { message = "SHUT" }', "use migemu tap"),
        ('type = "hold"\nattributes = { until = { event = "config_ready" } }', "which tells none here"),
    ],
)
def test_what_only_a_destination_of_ours_can_do_is_refused(rule: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"order rule it .*{why}|order rule it: .*{why}"):
        rules.for_source(ordered(rule).order)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_kept_file_says_something_to_a_qemu_of_today(file: Path) -> None:
    scenario = load(file)
    assert rules_play.fits(scenario, launcher(10, 0, 13))
    assert rules.for_source(scenario.order)
    assert file.read_text(encoding="utf-8").startswith("# ")


def test_what_7_2_does_not_have_is_not_played_to_it() -> None:
    fit = [file.stem for file in FILES if rules_play.fits(load(file), launcher(7, 2, 22))]
    assert fit == [
        "b13-accepted-in-any-order",
        "b13-main-connects-last",
        "b18-stale-page",
        "c05-ram-packet-lost",
        "c07-data-before-setup-sync",
        "e03-setup-sync-withheld",
        "c07-data-before-main",
    ]


def result(*reasons: str, **broken: str) -> Result:
    failed = [
        InvariantResult(name=name.replace("_", "-"), ok=False, detail=text) for name, text in broken.items()
    ]
    lines = [*reasons, *(one.line() for one in failed)]
    given: dict[str, Any] = {"verdict": "failed" if lines else "completed", "reasons": lines}
    return Result.model_construct(invariants=tuple(failed), **given)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (result(), Kind.OK),
        (result(queue_bounded="peak 2 of 1 bytes"), Kind.OK),
        (result(config_after_iterables="device 0"), Kind.WRONG),
        (result("destination: the migration failed", one_vm_runs="no side"), Kind.ERROR),
        (result("QEMU is gone (ended with signal 6): assertion", one_vm_runs="no side"), Kind.CRASH),
        (result("QEMU is gone (ended with signal 9)", ends="destination"), Kind.HANG),
    ],
)
def test_a_run_between_two_is_told_in_the_tables_words(outcome: Result, kind: Kind) -> None:
    assert rules_play.judged(outcome).kind is kind


def test_a_file_without_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.toml").write_text('name = "none"\n')
    outcome = CliRunner().invoke(cli, ["rules", str(tmp_path / "none.toml")])
    assert isinstance(outcome.exception, UsageError)


def test_json_is_an_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migemu.cli.qemu_rules.binary.find_all", lambda: [launcher(7, 2, 22)])
    outcome = CliRunner().invoke(cli, ["rules", str(CONFIGS / "k06-idx-missing.toml"), "--json"])
    told = json.loads(outcome.output)
    assert (told["row"], told["qemu"], told["verdicts"]) == ("k06-idx-missing", "7.2.22", [])
