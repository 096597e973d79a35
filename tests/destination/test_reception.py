"""Places that connections take and lose before the migration begins."""

from __future__ import annotations

from typing import Any

from migemu.destination.reception import Reception
from migemu.scenario import loads
from migemu.threads.native import NativeThreads
from migemu.wire.hello import Hello

SCENARIO = loads("[migration]\nchannels = 2\n")


class Connection:
    """One that has said what it is."""

    who = ""

    def __init__(self) -> None:
        self.dead = False

    def pause(self) -> None: ...

    def drop(self) -> None: ...

    def gone(self) -> bool:
        return self.dead


def reception() -> Any:
    return Reception(SCENARIO, NativeThreads(), lambda: False)


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
