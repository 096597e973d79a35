"""The SYNC barrier: no channel reads on before the main channel's word, nobody waits for one that is gone."""

from __future__ import annotations

import pytest

from migemu.destination.barrier import SyncBarrier
from migemu.errors import CancelledMigrationError, ConnectionLostError, PeerTimeoutError
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Patience

LONG = 30.0


def barrier(channels: int, seconds: float = LONG) -> tuple[SyncBarrier, Abort, NativeThreads]:
    threads = NativeThreads()
    abort = Abort(threads)
    return SyncBarrier(threads, abort, Patience(threads, seconds), channels), abort, threads


def test_channels_stay_parked_until_all_have_met_their_sync_and_main_its_word() -> None:
    sync, _, threads = barrier(2)
    resumed: list[int] = []
    sync.arrive(0, lambda: resumed.append(0))
    waiting = threads.spawn("incoming", sync.wait)
    assert not waiting.join(0.01)
    assert resumed == []
    sync.arrive(1, lambda: resumed.append(1))
    assert waiting.join(LONG)
    assert sorted(resumed) == [0, 1]


def test_one_channels_second_sync_does_not_stand_in_for_anothers() -> None:
    sync, _, _ = barrier(2, seconds=0.02)
    sync.arrive(0, lambda: None)
    sync.arrive(0, lambda: None)
    with pytest.raises(PeerTimeoutError, match=r"channel\(s\) \[1\]"):
        sync.wait()


def test_a_channel_that_closes_before_its_sync_ends_the_wait() -> None:
    sync, _, threads = barrier(2)
    sync.arrive(0, lambda: None)
    met: list[Exception] = []

    def wait() -> None:
        try:
            sync.wait()
        except ConnectionLostError as error:
            met.append(error)

    waiting = threads.spawn("incoming", wait)
    sync.channel_ended(1)
    assert waiting.join(LONG)
    assert "channel 1" in str(met[0])


def test_a_channel_that_closes_at_its_sync_still_counts() -> None:
    sync, _, _ = barrier(1)
    sync.arrive(0, lambda: None)
    sync.channel_ended(0)
    sync.wait()
    assert sync.rounds == 1


def test_an_abort_ends_the_wait() -> None:
    sync, abort, _ = barrier(1)
    abort.set(CancelledMigrationError("enough"))
    with pytest.raises(CancelledMigrationError):
        sync.wait()
