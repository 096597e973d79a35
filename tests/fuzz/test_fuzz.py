"""What fuzzing found stays mended, and a few hundred new inputs in every run of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.destination import play
from fuzz.recorded import KINDS, NAMES, FromQemu, play_spoiled, recorded
from fuzz.tape import good, spoiled
from fuzz.wire import PARSERS, feed
from migemu.errors import MigemuError
from migemu.ram.guest import PAGE_SIZE

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*/*"))
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("kept", REGRESSIONS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_found_something_finds_nothing_any_more(kept: Path) -> None:
    data = kept.read_bytes()
    if kept.parent.name == "destination":
        play(*spoiled(data))
    elif kept.parent.name == "recorded":
        play_spoiled(data)
    else:
        feed(PARSERS[kept.parent.name], data)


@pytest.mark.parametrize("parser", PARSERS)
@RELAXED
@given(data=st.binary(max_size=400))
def test_any_bytes_are_items_or_errors_of_the_tree(parser: str, data: bytes) -> None:
    feed(PARSERS[parser], data)


@RELAXED
@given(data=st.binary(min_size=6, max_size=31))
def test_a_spoiled_migration_ends_with_the_right_bytes_or_a_named_error(data: bytes) -> None:
    outcome = play(*spoiled(data))
    assert outcome.running or isinstance(outcome.error, MigemuError)


@RELAXED
@given(data=st.binary(min_size=6, max_size=31))
def test_so_does_a_spoiled_recording_of_a_real_qemu(data: bytes) -> None:
    outcome = play_spoiled(data)
    assert outcome.running or isinstance(outcome.error, MigemuError)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_an_unspoiled_recording_completes(kind: type[FromQemu]) -> None:
    assert play(recorded(kind.name), kind=kind).running


MANY = """
from pathlib import Path
from fuzz.destination import play
from fuzz.tape import spoiled

for turn in range(10):
    for n in range(120):
        play(*spoiled(bytes([n * 7 % 256, n % 256, *range(9)])))
    if turn in (1, 9):
        print(int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]))
"""
"""1,200 destinations in a process of their own; pages held after the first 240 and after all."""


def test_many_destinations_in_one_process_hold_no_more_than_a_few() -> None:
    """A fuzzer that grows would find its own end and nothing else; so would a long-lived host.

    One destination holds two thirds of a MiB: a thousand that stayed would be hundreds.
    """
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    played = subprocess.run(
        [sys.executable, "-c", MANY], env=environ, capture_output=True, text=True, check=True, timeout=100
    )
    first, last = (int(pages) * PAGE_SIZE for pages in played.stdout.split())
    assert last - first < 64 << 20


@pytest.mark.parametrize("extended", [True, False])
def test_an_unspoiled_one_completes(extended: bool) -> None:  # noqa: FBT001  a case
    assert play(good(extended=extended)).running


def test_the_fuzzer_would_notice_a_wrong_byte() -> None:
    main, *channels = good()
    spoiled_page = bytearray(channels[0])
    spoiled_page[-5] ^= 1  # the last byte of a device's buffer
    assert not play((main, bytes(spoiled_page), *channels[1:])).running
