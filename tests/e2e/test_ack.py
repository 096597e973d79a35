"""A destination that never acknowledges the switchover is not waited for for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.inprocess import migrate
from migemu.destination.incoming import Incoming
from migemu.errors import PeerTimeoutError

if TYPE_CHECKING:
    import pytest

PRECOPY = ("device.*.precopy=true", "device.*.initial_size=4 KiB", "migration.switchover_ack=true")


async def test_an_acknowledgement_that_does_not_come_ends_it_although_rounds_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Incoming, "_initial_data_in", lambda *_: None)
    came = await migrate("", *PRECOPY)
    assert isinstance(came.source, PeerTimeoutError)
    assert "no SWITCHOVER_ACK came within 0.7 s (timeouts.phase)" in str(came.source)
    assert came.may_run() == {"source"}


async def test_one_that_comes_lets_it_go_on() -> None:
    came = await migrate("", *PRECOPY)
    assert came.verified, (came.source, came.destination)
