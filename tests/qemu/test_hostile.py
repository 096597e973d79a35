"""Rows of the hostile-order table end to end: played to real QEMUs, and told as what they were."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from migemu.cli import cli
from migemu.errors import UsageError
from migemu.qemu import hostile
from migemu.qemu.hostile.playing import play
from migemu.qemu.hostile.pulse import Patience
from migemu.qemu.hostile.report import Played, counted, markdown
from migemu.qemu.hostile.table import place
from migemu.qemu.hostile.verdict import Kind, Verdict, of_process
from peering.bench import qemu

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "qemu-hostile-order.md").read_text(encoding="utf-8")

QUICK = Patience(hang=2.0, wait=1.0, closed=1.0, kill=30.0)


def verdict(launcher: Launcher, name: str) -> Verdict:
    return asyncio.run(play(hostile.ROWS[name], launcher, QUICK))


def children() -> set[str]:
    """The processes that this one has started and that are still there."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split())


@pytest.mark.qemu
@pytest.mark.parametrize("major", [7, 10, 11])
def test_a_migration_as_it_should_be_is_told_as_one(major: int) -> None:
    got = verdict(qemu(major), "A0")
    assert (got.kind, got.text, got.shut) == (Kind.OK, "", 0)


@pytest.mark.qemu
def test_wrong_bytes_are_told_although_the_destination_is_content(any_qemu: Launcher) -> None:
    got = verdict(any_qemu, "C5")
    assert (got.kind, got.shut) == (Kind.WRONG, 0)
    assert got.text == "8 of 64 pages of RAM differ"


@pytest.mark.qemu
def test_a_hang_is_told_and_the_process_is_gone(any_qemu: Launcher) -> None:
    before = children()
    got = verdict(any_qemu, "D3")
    assert children() <= before
    assert (got.kind, got.text) == (Kind.HANG, ""), "seen, not ended by the kill timer"
    assert got.silent > QUICK.hang + QUICK.closed / 2, "watched also after every connection was closed"


@pytest.mark.qemu
def test_an_error_is_told_in_the_words_of_the_destination(any_qemu: Launcher) -> None:
    got = verdict(any_qemu, "I2")
    assert got.kind is Kind.ERROR
    assert "MIG_CMD 0xc unknown" in got.text


@pytest.mark.qemu
def test_a_destination_that_only_waits_is_not_said_to_hang() -> None:
    """QEMU before 8.0 takes the first connection for the main channel (B13)."""
    got = verdict(qemu(7), "A1")
    assert got.kind is Kind.WAITS
    assert "received packet magic 5145564d" in got.text


@pytest.mark.qemu
@pytest.mark.parametrize("major", [10, 11])
def test_an_assertion_is_told_by_its_text(major: int, library: object) -> None:
    got = verdict(qemu(major), "K20")
    assert got.kind is Kind.CRASH
    assert "load_bufs_thread_running" in got.text
    assert "signal 6" in got.text


@pytest.mark.qemu
def test_what_a_device_was_not_given_is_told(vfio_qemu: Launcher) -> None:
    got = verdict(vfio_qemu, "K19")
    assert got.kind is Kind.WRONG
    assert "was given 0 bytes" in got.text
    assert verdict(vfio_qemu, "K28").kind is Kind.OK


@pytest.mark.qemu
def test_a_failure_that_the_source_was_told_as_success_is_marked(vfio_qemu: Launcher) -> None:
    got = verdict(vfio_qemu, "L8")
    assert (got.kind, got.shut) == (Kind.ERROR, 0)
    assert "SHUT said 0" in got.line()


@pytest.mark.qemu
def test_a_source_that_loses_a_channel_says_why_and_keeps_its_guest(any_qemu: Launcher) -> None:
    got = verdict(any_qemu, "S1")
    assert (got.kind, got.shut) == (Kind.ERROR, None)
    assert "Connection reset by peer" in got.text


@pytest.mark.qemu
def test_a_source_is_cancelled_and_says_so(any_qemu: Launcher) -> None:
    got = verdict(any_qemu, "S3")
    assert (got.kind, got.text.split(";")[0]) == (Kind.OK, "status cancelled")


@pytest.mark.qemu
def test_save_threads_that_wait_for_a_lost_channel_end(vfio_qemu: Launcher) -> None:
    """Hazard D4 of the catalogue does not show: eight threads, four channels, one reset."""
    assert verdict(vfio_qemu, "S4").kind is Kind.ERROR


@pytest.mark.qemu
def test_memory_that_an_order_costs_is_told(vfio_qemu: Launcher) -> None:
    got = verdict(vfio_qemu, "L15")
    assert (got.kind, got.grew) == (Kind.OK, True)
    assert not verdict(vfio_qemu, "K0").grew


@pytest.mark.qemu
def test_the_verb_plays_rows_and_prints_the_table(any_qemu: Launcher) -> None:
    words = ["qemu", "rows", "--qemu", str(any_qemu.program), "--markdown", "A0", "C5"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "| **C5** a data packet is lost | wrong: 8 of 64 pages of RAM differ |" in done.output


@pytest.mark.qemu
def test_a_catalogued_bug_is_played_to_it(any_qemu: Launcher) -> None:
    words = ["bugs", "reproduce", "c5", "--qemu", str(any_qemu.program), "--json"]
    done = CliRunner().invoke(cli, words)
    told = json.loads(done.output)
    assert (told["bug"], told["shows"], told["rows"][0]["verdicts"][0]["kind"]) == ("C5", True, "wrong")


CUT = re.search(r"((?:    .*\n)+)\nFrom a script", (DOCS / "qemu-behaviour.md").read_text(encoding="utf-8"))
"""The scenario of the page, as it stands there."""


@pytest.mark.qemu
def test_a_guest_is_lost_by_a_cut_at_the_end_as_the_page_says(vfio_qemu: Launcher, tmp_path: Path) -> None:
    """Two unmodified QEMUs, no device: the destination fails and tells the source that all is well."""
    assert CUT is not None
    (tmp_path / "cut.toml").write_text(dedent(CUT[1]))
    words = [
        "qemu",
        "migrate",
        str(tmp_path / "cut.toml"),
        "--qemu",
        str(vfio_qemu.program),
        "--limit",
        "20 s",
    ]
    done = CliRunner().invoke(cli, words)
    assert "one-vm-runs: BROKEN" in done.output
    assert "Unexpected end-of-file" in done.output


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (-6, Kind.CRASH, "assertion (signal 6)"),
        (1, Kind.ERROR, "assertion (exit code 1)"),
        (0, Kind.ERROR, "assertion (exit code 0)"),
        (-9, Kind.HANG, "ended by its kill timer"),
    ],
)
def test_a_process_that_ended_by_itself_did_not_crash(code: int, kind: Kind, text: str) -> None:
    assert of_process(code, "assertion") == (kind, text)


def test_rows_are_found_by_name_by_family_and_in_order() -> None:
    assert [one.name for one in hostile.select(("k2", "A", "K2"))] == ["A0", "A1", "A2", "A3", "K2"]
    everything = hostile.select(())
    assert everything == sorted(everything, key=place)
    assert [one.name for one in everything].index("K9b") < [one.name for one in everything].index("K10")
    with pytest.raises(UsageError, match="no row 'Z1'"):
        hostile.select(("Z1",))


def test_every_row_stands_on_the_page_with_its_title() -> None:
    missing = [one.name for one in hostile.ROWS.values() if f"**{one.name}** {one.title}" not in PAGE]
    assert missing == []


def test_the_page_says_nothing_of_rows_there_are_not() -> None:
    assert set(re.findall(r"\*\*([A-Z]\d+[a-z]?)\*\* [a-z]", PAGE)) <= set(hostile.ROWS)


def test_a_row_says_nothing_to_a_version_without_what_it_is_about() -> None:
    fits = {name: hostile.ROWS[name].bench.fits for name in ("C5", "E6", "K0", "L2")}
    assert [[fits[name](version) for name in fits] for version in ((7, 2), (10, 0, 13), (11, 1))] == [
        [True, False, False, False],
        [True, True, True, False],
        [True] * 4,
    ]


def test_a_table_says_same_only_where_it_is() -> None:
    row = hostile.ROWS["K20"]
    crash = "hw/vfio/x.c:{}: f: Assertion `!a' failed. (signal 6)"
    played = [
        Played(row, "7.2", ()),
        Played(row, "10.0", (Verdict(Kind.CRASH, crash.format(1)),)),
        Played(row, "11.1", (Verdict(Kind.CRASH, crash.format(2)),)),
        Played(row, "12.0", (Verdict(Kind.HANG, silent=6.0), Verdict(Kind.OK), Verdict(Kind.OK))),
    ]
    cells = markdown(played).splitlines()[-1].split(" | ")[1:]
    assert cells == [
        "-",
        "crash: f: Assertion `!a' failed. (signal 6)",
        "same",
        "ok (2 of 3); or hang (1 of 3) |",
    ]


def test_rows_that_came_to_the_same_share_a_line() -> None:
    ok = (Verdict(Kind.OK),)
    played = [Played(hostile.ROWS[name], version, ok) for name in ("C1", "C2", "K0") for version in "ab"]
    titles = [line.split(" | ")[0] for line in markdown(played).splitlines()[2:]]
    assert titles == ["| **C1** a data packet twice; **C2** two packets swapped", "| **K0** in order"]


def test_what_is_notable_is_told_beside_the_kind() -> None:
    assert Verdict(Kind.OK, silent=0.2, shut=0).line() == "ok"
    assert Verdict(Kind.OK, silent=1.0, shut=0).line() == "ok (monitor silent for 1.0 s)"
    assert Verdict(Kind.ERROR, "why", shut=0).line() == "error (SHUT said 0): why"
    assert Verdict(Kind.OK, shut=0, grown=72 << 20).cell() == "ok (grew by over 70 MiB)"
    told = "load of migration failed: Invalid argument: MIG_CMD 0xc unknown; and more (exit code 1)"
    assert Verdict(Kind.ERROR, told).cell() == "error: MIG_CMD 0xc unknown"
    assert counted(["a", "b", "b"]) == ["b (2 of 3)", "a (1 of 3)"]
