"""A defect of this program's own ends a side with one line that says where, not with a traceback."""

from __future__ import annotations

import pytest

from migemu import scenario
from migemu.cli.sides import migrate
from migemu.errors import MigemuError, UsageError
from migemu.observe.recorder import Recorder


class Broken:
    """A side whose code raises what no code of ours should."""

    address = ""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run(self, host: str, port: int) -> MigemuError | None:  # noqa: ARG002  the seam
        raise self._error

    def cancel(self, reason: str) -> None:
        raise AssertionError(reason)


def test_a_defect_is_one_line_that_says_where_it_was() -> None:
    recorder = Recorder("destination", scenario.default())
    error = migrate(recorder, lambda *_: Broken(AttributeError("no such thing")), "127.0.0.1", 0)
    assert error is not None
    assert "a defect of migemu: AttributeError: no such thing (test_defect.py, line " in str(error)


def test_an_address_that_cannot_be_had_stays_a_matter_of_usage() -> None:
    recorder = Recorder("destination", scenario.default())
    with pytest.raises(UsageError, match="in use"):
        migrate(recorder, lambda *_: Broken(UsageError("in use")), "127.0.0.1", 0)
