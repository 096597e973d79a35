"""Which hand-off a scenario gets: by machine type, by platform, as docs/machine-types.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from migemu.errors import ConfigError, WireError
from migemu.handoff import HANDOFFS, agreement, handoff
from migemu.handoff.choice import choose, for_machine, possible, safe, unusable
from migemu.scenario import loads, names

PAGE = Path(__file__).parents[2] / "docs" / "machine-types.md"
X86 = "platform.needs_interrupt_controller=false"


def rows(first: str) -> list[list[str]]:
    """The rows of the page's table whose first heading is `first`, headings included."""
    lines = [line.strip("| \n") for line in PAGE.read_text(encoding="utf-8").splitlines() if "|" in line]
    table = [[cell.strip() for cell in line.split("|")] for line in lines]
    start = next(n for n, row in enumerate(table) if row[0] == first)
    width = len(table[start])
    return [table[start]] + [row for row in table[start + 2 :] if len(row) == width and row[0] in HANDOFFS]


def runs(name: str, machine: str) -> str:
    """What happens, in the page's words."""
    try:
        return for_machine(name, machine).design.name
    except ConfigError:
        return "refused"


def test_every_machine_type_has_the_hand_offs_of_the_page() -> None:
    (_, *machines), *body = rows("asked for")
    assert tuple(machines) == names.MACHINES
    assert [row[0] for row in body] == list(HANDOFFS)
    for name, *cells in body:
        assert [runs(name, machine) for machine in machines] == cells, name


def test_the_platform_refuses_what_the_page_says() -> None:
    _, *body = rows("hand-off")
    told = dict(body)
    assert [name for name in told if told[name] == "runs"] == safe("11.1")
    refused = set(unusable(loads("", overrides=["handoff=main-channel"], environ={})))
    assert refused == {name for name, verdict in told.items() if verdict == "refused"}


@pytest.mark.parametrize("name", HANDOFFS)
def test_every_hand_off_runs_on_x86(name: str) -> None:
    scenario = loads("", overrides=[X86, f"handoff={name}"], environ={})
    assert choose(scenario).design.name == name


def test_a_refused_platform_is_told_what_to_set_and_what_is_safe() -> None:
    with pytest.raises(ConfigError) as refused:
        choose(loads("", overrides=["handoff=load-thread"], environ={}))
    text = str(refused.value)
    assert "(bug B2)" in text
    assert "platform.needs_interrupt_controller" in text
    assert "main-channel, load-finish, blocking-wait, non-iterable" in text
    assert "load-ready; platform.allow_early_config" in text
    assert refused.value.exit_code == 2


def test_whoever_insists_gets_b2() -> None:
    scenario = loads("", overrides=["handoff=load-thread", "platform.allow_early_config=true"], environ={})
    assert choose(scenario).design.name == "load-thread"


def test_what_an_older_machine_makes_of_it_is_what_the_platform_judges() -> None:
    """`load-ready` is safe; on a 10.0 machine it is `load-thread`, which is not."""
    with pytest.raises(ConfigError, match=r"load-ready \(on machine type 10\.0: load-thread\) may load"):
        choose(loads('machine = "10.0"', environ={}))
    assert "load-ready" not in safe("10.0")
    assert choose(loads('machine = "9.2"', environ={})).design.name == "main-channel"


def test_a_machine_too_old_is_told_what_it_can_do() -> None:
    with pytest.raises(ConfigError) as refused:
        choose(loads('machine = "9.2"\nhandoff = "ack"', environ={}))
    assert "needs machine type 10.0 or newer, this is 9.2" in str(refused.value)
    assert str(refused.value).endswith("possible: main-channel, load-thread, load-ready")
    assert possible("9.2") == ["main-channel", "load-thread", "load-ready"]


def test_an_unknown_hand_off_is_answered_with_the_list() -> None:
    with pytest.raises(ConfigError, match="there are: main-channel, load-finish"):
        handoff("load-quickly")


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("11.1", "11.1", True),
        ("pc-q35-10.0", "10.0", True),
        ("pc-i440fx-9.2", "9.2", True),
        ("10.0", "11.1", False),
        ("11.1", "10.1", False),
        ("pc-q35-10.1", "11.1", False),
        ("none", "11.1", False),
        ("none", "none", True),
    ],
)
def test_machine_types_are_compared_by_version(theirs: str, ours: str, *, same: bool) -> None:
    if same:
        agreement.same_machine(theirs, ours)
        return
    with pytest.raises(WireError, match=f"is of machine type {theirs}, this side is {ours}"):
        agreement.same_machine(theirs, ours)


def test_a_source_that_names_no_hand_off_is_taken_at_its_word() -> None:
    agreement.same_handoff(["clock", "digests"], "load-ready")
    agreement.same_handoff(["clock", agreement.feature("load-ready")], "load-ready")
    with pytest.raises(WireError, match="the source runs hand-off load-thread, this side load-ready"):
        agreement.same_handoff([agreement.feature("load-thread")], "load-ready")


def test_a_stream_that_says_whose_it_is_must_be_this_vms() -> None:
    ours, theirs = bytes(16), bytes(range(16))
    for said, here in ((None, ours), (ours, None), (None, None), (ours, ours)):
        agreement.same_vm(said, here)
    with pytest.raises(WireError, match="another VM"):
        agreement.same_vm(theirs, ours)
