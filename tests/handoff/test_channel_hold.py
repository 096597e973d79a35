"""A channel whose own thread works on what came is not read; everything here is the loop's side of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from migemu.destination.channel import RECEIVE_THREAD, ChannelProtocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Socket:
    """Transport, loop, reader and receiver in one: what the protocol touches, and what it was told."""

    def __init__(self) -> None:
        self.reading = True
        self.at_work = False
        self.parked = self.blocked = False
        self.missing = 0
        self.given: list[str] = []

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def call_soon_threadsafe(self, call: Callable[..., None], *arguments: Any) -> None:
        call(*arguments)

    def get_extra_info(self, _name: str) -> None:
        """There is no socket behind it."""

    def received(self, _count: int) -> list[str]:
        return ["packet"]

    def resume(self) -> list[str]:
        self.blocked = False
        return []

    def packet(self, _channel: int, packet: str) -> bool:
        self.given.append(packet)
        return not self.at_work

    def busy(self, _channel: int) -> bool:
        return self.at_work


@pytest.fixture
def socket() -> Socket:
    return Socket()


@pytest.fixture
def protocol(socket: Socket) -> ChannelProtocol:
    every: Any = socket
    protocol = ChannelProtocol(0, every, every, every, every)
    protocol.release("setup")
    return protocol


def test_a_packet_that_is_done_at_once_holds_nothing(socket: Socket, protocol: ChannelProtocol) -> None:
    protocol.buffer_updated(1)
    assert socket.given == ["packet"]
    assert socket.reading


def test_a_channel_at_work_is_not_read_until_its_thread_says_so(
    socket: Socket, protocol: ChannelProtocol
) -> None:
    socket.at_work = True
    protocol.buffer_updated(1)
    assert not socket.reading
    socket.at_work = False
    protocol.release(RECEIVE_THREAD)
    assert socket.reading


def test_a_thread_that_was_given_more_meanwhile_keeps_its_channel(
    socket: Socket, protocol: ChannelProtocol
) -> None:
    """Its word of having done the first packet may arrive behind the second one."""
    socket.at_work = True
    protocol.buffer_updated(1)
    protocol.release(RECEIVE_THREAD)
    assert not socket.reading


def test_other_holds_outlast_it(socket: Socket, protocol: ChannelProtocol) -> None:
    socket.at_work = socket.blocked = True
    protocol.buffer_updated(1)
    socket.at_work = False
    protocol.release(RECEIVE_THREAD)
    assert not socket.reading
    protocol.release("queue cap")
    assert socket.reading
