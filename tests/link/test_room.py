"""How much each of many channels may have under way: little on one machine, the kernel's choice elsewhere."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from migemu.destination.session import Session
from migemu.link import room
from migemu.link.room import send_room
from migemu.qemu.receive import QemuSession
from migemu.scenario import loads
from migemu.source.links import Courier
from migemu.source.socketlink import SocketLink

MIB = 1 << 20
HERE = ("127.0.0.1", 4444)
LARGE, SMALL, SMALLEST = 512 << 10, 256 << 10, 200 << 10


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_allowed", lambda: 4 << 20)


@pytest.mark.parametrize(
    ("channels", "bytes_each"),
    [(1, None), (7, None), (8, LARGE), (16, LARGE), (24, LARGE), (25, SMALL), (64, SMALL), (255, SMALL)],
)
def test_the_more_channels_the_less_room_has_each(channels: int, bytes_each: int | None) -> None:
    assert send_room(channels, MIB, HERE) == bytes_each


@pytest.mark.parametrize(("channels", "bytes_each"), [(8, None), (15, None), (16, SMALLEST), (64, SMALLEST)])
def test_a_kernel_with_its_own_default_limit_allows_only_the_smallest(
    monkeypatch: pytest.MonkeyPatch, channels: int, bytes_each: int | None
) -> None:
    monkeypatch.setattr(room, "_allowed", lambda: 212_992)
    assert send_room(channels, MIB, HERE) == bytes_each


@pytest.mark.parametrize("peer", [("192.0.2.1", 4444), ("::ffff:1", 1, 0, 0), None, "", ("host", 1)])
def test_to_another_machine_the_kernel_decides(peer: object) -> None:
    assert send_room(64, MIB, peer) is None


@pytest.mark.parametrize(
    ("packet", "bounded"), [(4096, False), (128 << 10, True), (MIB, True), (4 * MIB, False)]
)
def test_packets_of_other_sizes_than_qemus_are_the_kernels_to_keep(packet: int, bounded: bool) -> None:  # noqa: FBT001  a case
    assert (send_room(64, packet, HERE) is not None) is bounded


def test_both_families_have_a_loopback() -> None:
    assert send_room(64, MIB, ("::1", 4444, 0, 0)) == send_room(64, MIB, HERE) is not None


@pytest.mark.parametrize(("channels", "bounded"), [(2, False), (64, True)])
async def test_a_source_bounds_the_buffers_of_many_channels(channels: int, bounded: bool) -> None:  # noqa: FBT001  a case
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = socket.create_connection(listener.getsockname())
        before = connected.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        connected.setblocking(False)
        link = SocketLink(0, loop, Courier(loop), lambda _: None, partial(send_room, channels, MIB))
        link.attach(connected)
        after = connected.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        link.close()
    assert (after != before) is bounded
    assert not bounded or after <= 2 * SMALL


def takes_turns(
    kind: type[Session], *, secure: bool = False, migemu: bool = True, peer: object = HERE
) -> bool:
    session = object.__new__(kind)
    state: Any = session
    state._scenario = loads("migration.channels = 64", environ={})
    state._opening = SimpleNamespace(migemu=migemu)
    transport = SimpleNamespace(get_extra_info=lambda _: peer)
    greeter: Any = SimpleNamespace(secure=secure, transport=transport)
    return session._takes_turns(greeter)


@pytest.mark.parametrize("kind", [Session, QemuSession])
def test_a_destination_takes_turns_where_the_source_bounds_its_buffers(kind: type[Session]) -> None:
    """Without bounded buffers what is not read waits in the kernel, which then takes even more."""
    assert takes_turns(kind)
    assert not takes_turns(kind, peer=("192.0.2.1", 4444))
    assert not takes_turns(kind, secure=True), "TLS's records are written by a transport"


def test_a_qemu_bounds_nothing() -> None:
    assert not takes_turns(QemuSession, migemu=False)
