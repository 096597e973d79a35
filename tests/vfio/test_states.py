"""The state table against the kernel's: every pair, with and without the optional states."""

from __future__ import annotations

import itertools

import pytest

from migemu.errors import DeviceStateError
from migemu.vfio.states import NEEDS, Feature, State, path

EVERYTHING = Feature.STOP_COPY | Feature.P2P | Feature.PRE_COPY

# The first step from a row's state towards a column's, as vfio_mig_get_next_state() of Linux has it for a
# device with every feature. S stop, R running, C stop-copy, U resuming, Q running-p2p, P pre-copy,
# A pre-copy-p2p, x refused.
LETTERS = dict(zip("SRCUQPA", list(State)[1:], strict=True))
FIRST_STEPS = """
  S R C U Q P A
S . Q C U Q Q Q
R Q . Q Q Q P Q
C S S . S S x x
U S S S . S S S
Q S R S S . R A
P R R A R R . A
A Q Q C Q Q P .
"""


def kernel() -> dict[tuple[State, State], State | None]:
    columns, *rows = (line.split() for line in FIRST_STEPS.strip().splitlines())
    table: dict[tuple[State, State], State | None] = {}
    for start, *steps in rows:
        for end, step in zip(columns, steps, strict=True):
            stays = LETTERS[end] if step == "." else LETTERS.get(step)
            table[LETTERS[start], LETTERS[end]] = stays
    return table


def kernel_path(start: State, end: State, features: Feature) -> tuple[State, ...] | None:
    """What the kernel does: step through the table, skipping states the device lacks."""
    steps: list[State] = []
    here = start
    while here is not end:
        there = kernel()[here, end]
        if there is None:
            return None
        here = there
        if NEEDS[here] in features:
            steps.append(here)
    return tuple(steps)


@pytest.mark.parametrize(
    "features",
    [Feature.STOP_COPY | p | q for p in (Feature(0), Feature.P2P) for q in (Feature(0), Feature.PRE_COPY)],
)
def test_every_transition_takes_the_steps_the_kernel_takes(features: Feature) -> None:
    there = [state for state in LETTERS.values() if NEEDS[state] in features]
    for start, end in itertools.product(there, there):
        expected = kernel_path(start, end, features)
        if expected is None:
            with pytest.raises(DeviceStateError, match="no way"):
                path(start, end, features)
        else:
            assert path(start, end, features) == expected, (start, end)


def test_a_source_device_walks_through_p2p_to_stop_copy() -> None:
    assert path(State.PRE_COPY, State.STOP_COPY, EVERYTHING) == (State.PRE_COPY_P2P, State.STOP_COPY)
    assert path(State.RUNNING, State.STOP_COPY, Feature.STOP_COPY) == (State.STOP, State.STOP_COPY)


def test_a_state_the_device_lacks_is_refused_by_name() -> None:
    with pytest.raises(DeviceStateError, match=r"no state PRE_COPY.*PRE_COPY"):
        path(State.RUNNING, State.PRE_COPY, Feature.STOP_COPY | Feature.P2P)


def test_error_is_terminal_and_cannot_be_asked_for() -> None:
    with pytest.raises(DeviceStateError, match="only a reset"):
        path(State.ERROR, State.RUNNING, EVERYTHING)
    with pytest.raises(DeviceStateError, match="cannot be asked for"):
        path(State.RUNNING, State.ERROR, EVERYTHING)


def test_the_numbers_are_the_uapis() -> None:
    assert [(s.name, s.number) for s in State][::5] == [("ERROR", 0), ("RUNNING_P2P", 5)]
    assert State.PRE_COPY_P2P.number == 7
