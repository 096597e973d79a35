"""What the migration thread learns of the way back, and what ends its waits."""

from __future__ import annotations

import pytest

from migemu.errors import ConnectionLostError, LimitError, PeerRefusedError, PeerTimeoutError, WireError
from migemu.source.returnpath import ReturnPath
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Patience
from migemu.wire import extension, returnpath
from migemu.wire.returnpath import Message

PONG = Message(returnpath.PONG, (7).to_bytes(4))


def returns(most: int = 100, seconds: float = 10.0) -> ReturnPath:
    threads = NativeThreads()
    return ReturnPath(threads, Abort(threads), Patience(threads, seconds), most)


def test_what_came_ends_the_wait_for_it() -> None:
    back = returns()
    back.message(PONG)
    back.message(Message(returnpath.SWITCHOVER_ACK))
    back.wait(lambda: back.acks == 1, "the acknowledgement")
    assert back.pongs == [7]


def test_a_message_that_no_destination_of_ours_sends_is_refused() -> None:
    with pytest.raises(WireError, match="unexpected return path message 3"):
        returns().message(Message(3))


def test_messages_end_at_their_limit_and_not_before() -> None:
    back = returns(most=3)
    for _ in range(3):
        back.message(PONG)
    with pytest.raises(LimitError, match=r"more than limits\.max_commands = 3 messages"):
        back.message(PONG)


def test_a_destination_that_failed_says_why() -> None:
    with pytest.raises(PeerRefusedError, match="the destination failed: out of memory"):
        returns().message(Message(extension.RP_FAILED, b"out of memory"))


def test_a_goodbye_that_is_none_is_a_refusal() -> None:
    back = returns()
    back.message(Message(returnpath.SHUT, (1).to_bytes(4)))
    with pytest.raises(PeerRefusedError, match="ended with status 1"):
        back.wait(lambda: back.shut is not None, "the goodbye")


def test_a_lost_connection_ends_the_wait_unless_what_it_is_for_has_come() -> None:
    back = returns()
    back.message(Message(returnpath.SHUT, bytes(4)))
    back.end(ConnectionLostError("closed by the destination"))
    back.wait(lambda: back.shut == 0, "the goodbye")
    with pytest.raises(ConnectionLostError, match="closed by the destination"):
        back.wait(lambda: back.acks > 0, "the acknowledgement")


def test_silence_ends_the_wait_and_names_what_was_waited_for() -> None:
    with pytest.raises(PeerTimeoutError, match="while waiting for the goodbye"):
        returns(seconds=0.01).wait(lambda: False, "the goodbye")
