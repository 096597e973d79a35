"""Places that connections take and lose before the migration begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from migemu.destination.reception import Reception
from migemu.errors import PeerError, WireError
from migemu.scenario import loads, with_overrides
from migemu.threads.native import NativeThreads
from migemu.wire.hello import Hello
from migemu.wire.probe import decode_readiness

if TYPE_CHECKING:
    from migemu.errors import MigemuError

SCENARIO = loads("[migration]\nchannels = 2\n")


class Connection:
    """One that has said what it is."""

    def __init__(self, who: str = "") -> None:
        self.who = who
        self.dead = self.paused = self.dropped = False
        self.refusals: list[MigemuError] = []

    def pause(self) -> None:
        self.paused = True

    def drop(self) -> None:
        self.dropped = True

    def refuse(self, error: MigemuError) -> None:
        self.refusals.append(error)

    def gone(self) -> bool:
        return self.dead


class Clock(NativeThreads):
    """A clock that a story sets, and events that it can look at."""

    def __init__(self) -> None:
        self.time = 100.0
        self.told: list[Any] = []
        super().__init__(lambda event, _t, _thread, fields: self.told.append((event, fields)))

    def now(self) -> float:
        return self.time


def reception(*overrides: str, clock: Clock | None = None) -> Any:
    return Reception(with_overrides(SCENARIO, overrides), clock or Clock(), lambda: False)


def hello(channel: int) -> Hello:
    return Hello(SCENARIO.migration_uuid().bytes, channel)


def come(where: Any) -> list[Connection]:
    """A whole source."""
    main, *channels = connections = [Connection() for _ in range(3)]
    where.place_main(main)
    for number, channel in enumerate(channels):
        where.place_multifd(Hello(SCENARIO.migration_uuid().bytes, number), channel)
    return connections


async def test_a_source_that_loses_a_connection_before_it_is_read_is_not_complete_any_more() -> None:
    where = reception()
    main, *_ = come(where)
    assert where.complete.done()
    assert where.lost(main)
    assert not where.complete.done()
    where.place_main(Connection())
    assert where.complete.done()


async def test_nor_is_one_that_died_unnoticed() -> None:
    where = reception()
    for connection in come(where):
        connection.dead = True
    where.sweep()
    assert not where.complete.done()
    assert where.absent() == "missing main, multifd 0, multifd 1"
    come(where)
    assert where.complete.done()


async def test_a_place_is_taken_once_by_whoever_is_of_this_migration() -> None:
    where = reception()
    main, first, _ = come(where)
    assert main.paused, "what follows waits in the kernel"
    with pytest.raises(WireError, match="a second main channel"):
        where.place_main(Connection())
    with pytest.raises(WireError, match="id 0 already set up"):
        where.place_multifd(hello(0), Connection())
    with pytest.raises(WireError, match="channel id 2 exceeds channel count 2"):
        where.place_multifd(hello(2), Connection())
    with pytest.raises(WireError, match="the hello's uuid is 00000000"):
        where.place_multifd(Hello(bytes(16), 1), Connection())
    assert where.places[0] is first


async def test_once_it_has_begun_nobody_loses_a_place() -> None:
    where = reception()
    connections = come(where)
    where.begin()
    connections[0].dead = True
    with pytest.raises(WireError, match="a second main channel"):
        where.place_main(Connection())


async def test_a_channel_that_shows_another_certificate_is_another_peer() -> None:
    where = reception()
    where.place_main(Connection("CN=source"))
    with pytest.raises(PeerError, match="the peer is CN=other, the channels before it were CN=source"):
        where.place_multifd(hello(0), Connection("CN=other"))
    where.place_multifd(hello(0), Connection("CN=source"))


@pytest.mark.parametrize("limit", ["max_unfinished", "max_connections"])
async def test_where_there_are_too_many_the_oldest_silent_one_makes_way(limit: str) -> None:
    where = reception("limits.max_unfinished=9", "limits.max_connections=9", f"limits.{limit}=3")
    silent = [Connection() for _ in range(4)]
    for connection in silent[:3]:
        where.enter(connection)
    assert not any(connection.refusals for connection in silent)
    where.enter(silent[3])
    assert [len(connection.refusals) for connection in silent] == [1, 0, 0, 0]
    assert f"limits.{limit}" in str(silent[0].refusals[0])


async def test_where_every_place_is_taken_the_new_one_is_turned_away() -> None:
    where = reception("limits.max_connections=3")
    come(where)
    for _ in range(2):
        late = Connection()
        where.enter(late)
        assert len(late.refusals) == 1, "nor is it kept as one that is still greeted"


async def test_a_source_that_does_not_become_complete_makes_room_for_the_next() -> None:
    clock = Clock()
    where = reception("timeouts.arrival=2 s", clock=clock)
    half = Connection()
    where.place_main(half)
    dropped = []
    for seconds in (2.0, 0.1):
        clock.time += seconds
        where.sweep()
        dropped.append(half.dropped)
    assert dropped == [False, True]
    assert where.absent() == "missing main, multifd 0, multifd 1"
    assert "not complete within timeouts.arrival = 2 s: missing multifd 0, multifd 1" in where.missing()


async def test_refusals_are_told_up_to_their_limit_and_then_only_counted() -> None:
    clock = Clock()
    where = reception("limits.refusals=2", clock=clock)
    for number in range(5):
        where.refused(WireError(f"stranger {number}"))
    reasons = [fields["reason"] for event, fields in clock.told if event == "connection_refused"]
    assert reasons == ["stranger 0", "stranger 1", "more than limits.refusals: only counted from now"]


async def test_when_it_is_over_nobody_is_let_in_and_nobody_kept() -> None:
    where = reception()
    silent, placed, late = Connection(), Connection(), Connection()
    where.enter(silent)
    where.place_main(placed)
    where.close()
    where.enter(late)
    assert [one.dropped for one in (silent, placed, late)] == [True, True, True]
    begun = reception()
    connections = come(begun)
    begun.begin()
    begun.close()
    assert not any(connection.dropped for connection in connections), "they are the migration's"


async def test_a_loss_is_told_and_a_stranger_has_nothing_to_lose() -> None:
    where = reception()
    main, *_ = come(where)
    assert not where.lost(Connection())
    assert where.missing() == "missing "
    assert where.lost(main)
    assert where.missing() == (
        "missing main; refused: main channel: closed before every channel was connected"
    )


async def test_a_probe_is_told_how_far_it_is() -> None:
    running = [False]
    where: Any = Reception(SCENARIO, Clock(), lambda: running[0])
    states = [decode_readiness(where.answer_probe())]
    come(where)
    states.append(decode_readiness(where.answer_probe()))
    where.begin()
    states.append(decode_readiness(where.answer_probe()))
    running[0] = True
    states.append(decode_readiness(where.answer_probe()))
    assert [state and state.state for state in states] == ["waiting", "connecting", "migrating", "running"]
