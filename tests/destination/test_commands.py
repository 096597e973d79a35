"""What each command of the main stream makes the incoming thread do, and which it refuses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from migemu import __version__
from migemu.destination.commands import Commands
from migemu.errors import LimitError, PeerRefusedError, WireError
from migemu.handoff import agreement
from migemu.threads.native import NativeThreads
from migemu.wire import extension, returnpath
from migemu.wire import mainstream as ms
from migemu.wire.records import Command


class Bench:
    """Commands, and what became of them."""

    def __init__(self, most: int = 100) -> None:
        self.replies: list[returnpath.Message] = []
        self.met: list[str] = []
        reader = returnpath.ReturnPathReader()
        machine: Any = SimpleNamespace(threads=NativeThreads())
        handoff: Any = SimpleNamespace(
            design=SimpleNamespace(name="load-ready"),
            switchover_start=lambda: self.met.append("switchover"),
            send_non_iterable=lambda: self.met.append("non-iterable"),
        )
        self.commands = Commands(machine, handoff, lambda raw: self.replies.extend(reader.feed(raw)), most)

    def say(self, number: int, data: bytes = b"") -> None:
        self.commands._command(Command(number, data))


def test_a_ping_is_answered_with_its_own_value_where_there_is_a_way_back() -> None:
    bench = Bench()
    with pytest.raises(WireError, match="PING before OPEN_RETURN_PATH"):
        bench.say(ms.PING, b"\0\0\0\7")
    bench.say(ms.OPEN_RETURN_PATH)
    bench.say(ms.PING, b"\0\0\0\7")
    assert bench.replies == [(returnpath.PONG, b"\0\0\0\7")]


@pytest.mark.parametrize("number", [4, 5, 8, ms.POSTCOPY_ADVISE])
def test_what_qemu_knows_and_this_side_does_not_is_refused_by_its_number(number: int) -> None:
    with pytest.raises(WireError, match=f"MIG_CMD {number:#x} unknown"):
        Bench().say(number)


def test_marks_move_the_phase_and_are_told_to_the_hand_off() -> None:
    bench = Bench()
    bench.say(ms.SWITCHOVER_START)
    assert bench.commands.phase == "switchover"
    bench.say(extension.CMD_SEND_NON_ITERABLE)
    assert bench.commands.phase == "non-iterable"
    assert bench.met == ["switchover", "non-iterable"]


def test_commands_end_at_their_limit_and_not_before() -> None:
    bench = Bench(most=3)
    for _ in range(3):
        bench.say(ms.OPEN_RETURN_PATH)
    with pytest.raises(LimitError, match=r"more than limits\.max_commands = 3"):
        bench.say(ms.OPEN_RETURN_PATH)


def test_a_source_that_is_migemu_is_answered_unless_it_runs_another_design() -> None:
    bench = Bench()
    with pytest.raises(WireError, match="hand-off load-thread, this side load-ready"):
        bench.say(extension.CMD_EXTENSION, announcement("load-thread"))
    assert bench.commands.extended, "so that it can be told why"
    assert bench.replies == []
    bench.say(extension.CMD_EXTENSION, announcement("load-ready"))
    assert [message.type for message in bench.replies] == [extension.RP_EXTENSION_ACK]


def announcement(design: str) -> bytes:
    return extension.encode_announcement(__version__, [*extension.FEATURES, agreement.feature(design)])


def test_the_clock_is_echoed_beside_ours() -> None:
    bench = Bench()
    bench.say(extension.CMD_CLOCK, extension.encode_clock(12345))
    assert extension.decode_clock_reply(bench.replies[0].data)[0] == 12345


def test_digests_count_when_their_last_part_is_in() -> None:
    bench = Bench()
    first, second = extension.split_parts(b'{"ram": "abc"}', size=8)
    bench.say(extension.CMD_DIGESTS, first)
    assert bench.commands.digests is None
    bench.say(extension.CMD_DIGESTS, second)
    assert bench.commands.digests == {"ram": "abc"}


def test_start_counts_in_the_commit_only() -> None:
    bench = Bench()
    with pytest.raises(WireError, match="START before the end of the stream"):
        bench.say(extension.CMD_START)
    assert not bench.commands.told_to_start
    bench.commands.phase = "commit"
    bench.say(extension.CMD_START)
    assert bench.commands.told_to_start


def test_a_source_that_gives_up_is_told_in_its_own_words() -> None:
    with pytest.raises(PeerRefusedError, match="the source failed: out of disk"):
        Bench().say(extension.CMD_FAILED, b"out of disk")
