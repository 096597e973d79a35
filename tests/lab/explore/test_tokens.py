"""Tokens: short, exact, and refused when they are damaged or belong elsewhere."""

from __future__ import annotations

from base64 import b32decode, b32encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.errors import ScheduleError
from migemu.lab.explore import SPURIOUS_WAKEUP, Dfs, Rules, Runner, decode, encode, explore, narrate
from migemu.lab.explore.textbook import BoundedQueue

SCENARIO = "load-ready, 2 devices, 2 channels"


@given(st.lists(st.integers(0, 300), max_size=200))
def test_a_token_says_exactly_the_schedule(decisions: list[int]) -> None:
    while decisions and not decisions[-1]:
        decisions.pop()
    assert decode(encode(decisions, SCENARIO), SCENARIO).decisions == tuple(decisions)


def test_a_token_is_short() -> None:
    fifteen = [0, 0, 0, 1] * 15
    assert len(encode([0] * 30 + [1], SCENARIO)) <= 30
    assert len(encode(fifteen, SCENARIO)) <= 80


def test_a_token_carries_the_rules_it_was_made_under() -> None:
    rules = Rules(points=frozenset({"a", "b"}), faults=frozenset({SPURIOUS_WAKEUP}), fault_budget=None)
    assert decode(encode([1], SCENARIO, rules), SCENARIO).rules == rules
    assert decode(encode([1], SCENARIO), SCENARIO).rules == Rules()


def test_a_token_survives_mail_and_shouting() -> None:
    token = encode([0, 1, 0, 2], SCENARIO)
    wrapped = f" {token[:10]}\n  {token[10:].upper()} "
    assert decode(wrapped, SCENARIO) == decode(token, SCENARIO)


def test_a_token_of_another_scenario_is_refused() -> None:
    token = encode([1], SCENARIO)
    with pytest.raises(ScheduleError, match="the token belongs to scenario"):
        decode(token, "non-iterable, 2 devices, 2 channels")
    assert decode(token).decisions == (1,)


def test_a_token_of_another_format_is_refused() -> None:
    token = encode([1], SCENARIO)
    with pytest.raises(ScheduleError, match="of format 2, this migemu reads format 1"):
        decode(token.replace("mig1", "mig2", 1), SCENARIO)
    with pytest.raises(ScheduleError, match="should begin with mig1"):
        decode("hello", SCENARIO)


@given(st.integers(0, 200), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_wrong_letter_is_noticed(place: int, letter: str) -> None:
    token = encode([0, 1, 0, 0, 3], SCENARIO)
    at = 4 + place % (len(token) - 4)
    spoilt = token[:at] + letter + token[at + 1 :]
    try:
        read = decode(spoilt, SCENARIO)
    except ScheduleError:
        return
    assert read == decode(token, SCENARIO)


@given(st.binary(min_size=7, max_size=40))
def test_nonsense_with_a_right_checksum_is_an_error_or_a_schedule(body: bytes) -> None:
    import zlib  # noqa: PLC0415  only here

    checked = body + zlib.crc32(body).to_bytes(4, "big")
    token = f"mig1{b32encode(checked).decode().rstrip('=').lower()}"
    assert b32decode(token[4:].upper() + "=" * (-len(token[4:]) % 8)) == checked
    try:
        read = decode(token)
    except ScheduleError as error:
        assert "token" in str(error)  # noqa: PT017  either is right
    else:
        assert len(read.decisions) <= 1 << 20


@pytest.mark.parametrize("token", ["mig1", "mig1!!!!", "mig1aa", "mig1" + "a" * 70_000])
def test_garbage_is_refused_in_one_line(token: str) -> None:
    with pytest.raises(ScheduleError) as raised:
        decode(token)
    assert "\n" not in str(raised.value)


def test_a_replayed_token_repeats_the_run_step_by_step() -> None:
    def make() -> BoundedQueue:
        return BoundedQueue(2, 2, 1, notify_all=False)

    failure = explore(make, Dfs()).failure
    assert failure is not None
    first = narrate(Runner(make, Rules()), failure.decisions)
    token = decode(encode(failure.decisions, SCENARIO), SCENARIO)
    again = narrate(Runner(make, token.rules), token.decisions)
    assert again.steps == first.steps
    assert again.failure is not None
    assert again.failure.waits == failure.waits


def test_a_schedule_that_does_not_fit_the_system_is_refused() -> None:
    with pytest.raises(ScheduleError, match="made for another system or other rules"):
        narrate(Runner(BoundedQueue, Rules()), [0, 7])
