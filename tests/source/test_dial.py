"""Connecting: a destination that goes away between the connection and the hello is an error like another."""

from __future__ import annotations

import asyncio
import socket

import pytest

from migemu.errors import ConnectionLostError
from migemu.scenario import loads
from migemu.source.dial import Dialer
from migemu.source.links import Courier
from migemu.source.socketlink import SocketLink
from migemu.threads.native import NativeThreads


async def test_a_channel_that_is_reset_before_its_hello_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    given: list[socket.socket] = []

    async def reset(connected: socket.socket, _hello: bytes) -> None:
        given.append(connected)
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr(loop, "sock_sendall", reset)
    link = SocketLink(3, loop, Courier(loop), lambda _: None)
    dialer = Dialer(loads("", environ={}), NativeThreads(), lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with pytest.raises(ConnectionLostError, match="channel 3: connection failed: Connection reset"):
            await dialer.connect(host, port, asyncio.Protocol(), [link])
        assert [connected.fileno() for connected in given] == [-1]
    assert link.fileno() == -1
