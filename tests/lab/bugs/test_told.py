"""What a person reads who has found a bug: the order as a list, where it leaves the passing one."""

from __future__ import annotations

from functools import cache

from migemu.lab import bugs
from migemu.lab.bugs.hunting import Found, find
from migemu.lab.explore import narrate
from migemu.lab.storyline import WIDTH
from migemu.lab.telling import lines, who_waits

HARNESS = ("takes the", "goes on after", "comes back", "lock (", " posted", "command 2")
"""Words of the machinery; nobody who knows migration would say them."""


@cache
def found(name: str) -> Found:
    return find(bugs.get(name), tries=300)


def told(name: str) -> list[str]:
    one = found(name)
    return lines(narrate(one.runner, one.shrunk.decisions), one.report.token, "migemu replay")


def test_a_fault_is_starred_and_named_as_the_place_where_the_order_is_left() -> None:
    order = told("D1")
    (starred,) = [line for line in order if line.startswith("*")]
    assert "FAULT: channel-fails on channel 0" in starred
    number = starred[1:4].strip()
    assert f"leaves the passing order: at {number}, by the fault that is named there" in order


def test_a_turn_that_is_taken_says_whose_it_was() -> None:
    order = told("B7")
    place = next(n for n, line in enumerate(order) if line.startswith("*"))
    instead = next(line for line in order[place:] if "(instead of: " in line)
    assert "load 0000:00:01.0" in instead
    assert order[-2].startswith(f"leaves the passing order: at {order[place][1:4].strip()} instead of: load")


def test_traffic_that_always_breaks_leaves_no_passing_order() -> None:
    assert (
        told("K6")[-2] == "leaves the passing order: nowhere, the native order of this traffic fails as well"
    )


def test_what_breaks_is_told_once_although_two_pages_break_it() -> None:
    text = "\n".join(told("B17"))
    assert text.count("BREAKS lifetime") == 1
    assert text.count("a page of pc.ram arrives") == 2


def test_commands_have_names() -> None:
    assert any("acts on SEND_NON_ITERABLE" in line for line in told("mark-without-data"))


def test_a_hang_says_who_waits_for_what_and_a_broken_rule_does_not() -> None:
    assert who_waits(found("D5").failure)[0] == "incoming waits for every channel's SYNC (never notified)"
    assert not any("session" in line for line in who_waits(found("D5").failure))
    assert not who_waits(found("B1").failure)


def test_the_lists_speak_of_migration_and_fit_a_terminal() -> None:
    for name in ("B1", "B3", "B8", "B10", "B15", "B16", "B31", "D1", "D3", "E3", "K20"):
        rows = [line for line in told(name) if line[:1] in " *"]
        assert all(len(line) <= WIDTH + 10 for line in rows), name
        said = [row for row in rows if "instead of" not in row and any(word in row for word in HARNESS)]
        assert not said, (name, said)


def test_a_long_list_is_looked_for_again_from_elsewhere() -> None:
    """Shrinking B4 from its first failing schedule alone ends at nine deviations."""
    assert found("B4").shrunk.deviations <= 4
