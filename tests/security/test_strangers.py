"""Whoever else connects: the migration that is waited for, or runs, is not disturbed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from e2e.sides import eventually, migemu
from migemu.wire import extension, mainwriter, returnpath
from migemu.wire.hello import Hello
from migemu.wire.records import RamBlock
from security.incoming import Incoming
from security.scripted import CHANNELS, PAGE, PAGES, UUID, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable


def migrated(destination: Incoming) -> None:
    """A source comes and migrates."""
    with Scripted(destination.address) as source:
        source.connect()
        source.whole()
        assert destination.verdict(source) == "ok"


def test_peers_that_say_nothing_are_let_go_and_the_source_is_not_held_up() -> None:
    with Incoming("limits.hello_timeout=200 ms") as destination, Scripted(destination.address) as stranger:
        silent = [stranger.dial() for _ in range(5)]
        assert all(stranger.refused(connection) for connection in silent)
        assert all("limits.hello_timeout = 0.2 s" in reason for reason in destination.refusals())
        migrated(destination)


def test_a_port_scanner_leaves_a_running_migration_alone() -> None:
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.setup()
        for _ in range(50):
            source.dial().close()
        for word in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-scan\r\n"):
            curious = source.dial()
            curious.sendall(word)
            assert source.refused(curious)
        source.round()
        source.switchover()
        source.device()
        source.sections()
        source.finish()
        assert destination.verdict(source) == "ok"


def test_a_second_source_is_refused_and_the_first_goes_on() -> None:
    with Incoming() as destination, Scripted(destination.address) as first:
        first.connect()
        first.setup()
        with Scripted(destination.address) as second:
            second.connect()
            assert all(second.refused(c) for c in [*second.channels.values(), second.main] if c is not None)
        first.round()
        first.switchover()
        first.device()
        first.sections()
        first.finish()
        assert destination.verdict(first) == "ok"
        assert any("second main channel" in reason for reason in destination.refusals())


def leave(source: Scripted) -> None:
    source.close()


def crash(source: Scripted) -> None:
    source.reset("main")
    for channel in source.channels:
        source.reset(channel)


@pytest.mark.parametrize("end", [leave, crash])
def test_a_source_that_dies_while_it_connects_makes_room_for_the_next(
    end: Callable[[Scripted], None],
) -> None:
    with Incoming() as destination:
        with Scripted(destination.address) as first:
            first.connect(("main", 0, 1))
            first.on(0, b"already sent, and nobody read it")
            end(first)
        migrated(destination)


def test_a_source_that_never_becomes_complete_makes_room_for_the_next() -> None:
    with Incoming("timeouts.arrival=2 s") as destination, Scripted(destination.address) as half:
        half.connect(("main", 0, 1))
        assert eventually(lambda: any("timeouts.arrival" in reason for reason in destination.refusals()))
        migrated(destination)


@pytest.mark.parametrize("limit", ["max_unfinished", "max_connections"])
def test_more_silent_connections_than_allowed_make_way_for_new_ones(limit: str) -> None:
    with Incoming(f"limits.{limit}={CHANNELS + 2}") as destination, Scripted(destination.address) as flood:
        silent = [flood.dial() for _ in range(CHANNELS * 3)]
        assert flood.refused(silent[0])
        migrated(destination)
        assert any(f"limits.{limit}" in reason for reason in destination.refusals())


def test_refusals_beyond_a_number_are_only_counted() -> None:
    with Incoming("limits.refusals=3") as destination, Scripted(destination.address) as stranger:
        for _ in range(20):
            curious = stranger.dial()
            curious.sendall(b"who?")
            assert stranger.refused(curious)
        assert len(destination.refusals()) == 4
        assert "limits.refusals" in destination.refusals()[-1]
        migrated(destination)


def test_without_a_source_the_wait_ends_and_says_who_was_turned_away() -> None:
    with Incoming("timeouts.connect=400 ms") as destination, Scripted(destination.address) as stranger:
        stranger.connect((0,))
        wrong = stranger.dial()
        wrong.sendall(Hello(bytes(16), 1).encode())
        destination.wait()
        told = str(destination.error)
        assert "timeouts.connect = 0.4 s" in told
        assert "missing main, multifd 1" in told
        assert f"this VM's is {UUID.hex()}" in told


def test_a_stream_of_another_vm_is_refused_by_its_uuid() -> None:
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.say(mainwriter.configuration("pc-q35-11.1", uuid=bytes(16)))
        source.say(mainwriter.command(1))
        source.hear(1)
        assert "another VM" in destination.verdict(source)


def test_a_start_that_came_while_this_side_stood_still_counts() -> None:
    """The source has given its VM up and may be gone: whoever gives up now leaves nobody to run it."""
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.setup()
        source.round()
        source.switchover()
        source.device()
        source.sections()
        source.ending()
        assert source.hear(returnpath.LOADED)
        destination.stand_still(3 * destination.scenario.timeouts.phase)
        source.say(mainwriter.command(extension.CMD_START))
        source.close()
        assert destination.verdict(source) == "ok"


def test_other_ram_is_told_block_by_block_and_not_all_of_it() -> None:
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.say(mainwriter.configuration("pc-q35-11.1"), mainwriter.command(1))
        source.say(mainwriter.section_start(2, "ram", 0, 4))
        source.say(mainwriter.ram_blocks([RamBlock(f"block{number}", 4096) for number in range(100)]))
        told = destination.verdict(source)
    assert (
        f"RAM blocks differ: pc.ram not there, of {PAGES * PAGE} bytes here; block0 of 4096 bytes there"
        in told
    )
    assert "block50" not in told


def test_a_source_that_does_not_give_its_vm_up_is_not_waited_for_for_ever() -> None:
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.setup()
        source.round()
        source.switchover()
        source.device()
        source.sections()
        source.ending()
        assert source.hear(returnpath.LOADED)
        verdict = destination.verdict(source)
    assert "phase commit: nothing moved for 0.8 s" in verdict


def test_a_start_before_the_end_of_the_stream_starts_nothing() -> None:
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.setup()
        source.say(mainwriter.command(extension.CMD_START))
        assert "START before the end of the stream" in destination.verdict(source)


def test_listening_where_others_reach_it_needs_tls_or_a_word() -> None:
    refused = migemu("destination", "--listen", "0.0.0.0:0")
    assert refused.returncode == 2
    assert "listening on 0.0.0.0 without TLS" in refused.stderr
    assert "--insecure" in refused.stderr
    meant = migemu("destination", "--listen", "0.0.0.0:0", "--insecure", "--set", "timeouts.connect=50 ms")
    assert meant.returncode == 1
    assert "warning: listening on 0.0.0.0 without TLS" in meant.stderr


def test_a_migration_ends_although_a_stranger_keeps_its_connection() -> None:
    with Incoming() as destination, Scripted(destination.address) as stranger:
        stranger.dial()
        began = time.monotonic()
        migrated(destination)
        assert time.monotonic() - began < destination.scenario.limits.hello_timeout + 5
