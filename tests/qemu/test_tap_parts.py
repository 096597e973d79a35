"""The tap without a QEMU: bytes pass unchanged whatever they are, and what is known of them is told."""

from __future__ import annotations

import lzma
import random
import socket
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import UsageError
from migemu.qemu.tap import Tap, connect, parse
from migemu.qemu.tap_eyes import Back, There
from migemu.qemu.tap_packets import missing_idx
from migemu.qemu.tap_rounds import Round, Rounds
from migemu.qemu.tap_skim import PagesPassed, SkimmingReader
from migemu.qemu.tap_watch import Watch
from migemu.wire import returnpath
from migemu.wire.buffers import HeapPool
from migemu.wire.hello import Hello
from migemu.wire.limits import DEFAULT_LIMITS
from migemu.wire.records import RamPage, RamZero
from peering.bench import CAPTURES, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 10.0


def look(data: bytes, seed: int = 1, watch: Watch | None = None) -> tuple[Watch, There]:
    """Show `data` to an eye of its own, to its end."""
    watch = watch or Watch()
    eye = There(watch, DEFAULT_LIMITS)
    show(eye, data, seed)
    eye.ended("")
    return watch, eye


def show(eye: There, data: bytes, seed: int = 1) -> None:
    """Show `data`, cut at random."""
    cut, at = random.Random(seed), 0  # noqa: S311  not a secret
    while at < len(data):
        room = eye.room()
        count = min(cut.choice((1, 7, 300, 5000, 100_000)), len(room), len(data) - at)
        room[:count] = data[at : at + count]
        eye.seen(room[:count])
        at += count


def told(watch: Watch, name: str) -> list[dict[str, Any]]:
    return [event.fields for log in watch.logs.values() for event in log.events() if event.event == name]


@pytest.mark.parametrize("seed", range(5))
def test_however_a_channel_is_cut_its_packets_are_told_without_their_payload(seed: int) -> None:
    """Device packets of a real QEMU, behind a hello."""
    packets = lzma.decompress((CAPTURES / "qemu-10.0-device-state.bin.xz").read_bytes())
    watch, eye = look(Hello(bytes(16), 3).encode() + packets, seed)
    assert (eye.channel, watch.unseen) == (3, [])
    assert [(one.idx, one.bytes, one.config) for one in watch.packets] == [
        (0, 1 << 20, False),
        (2, 1 << 20, False),
        (1, 1 << 20, False),
        (3, 292, True),
    ]
    assert [sent["idx"] for sent in told(watch, "multifd_send_packet")] == [0, 2, 1, 3]
    assert list(watch.packets.lines()) == [
        "0000:00:01.0/vfio: 3 data packets, 3145728 bytes, config at its end, over channel 3"
    ]


@pytest.mark.parametrize("name", ["qemu-7.2-none-0ch", "qemu-10.0-none-0ch"])
@pytest.mark.parametrize("seed", range(3))
def test_pages_on_the_main_channel_are_counted_in_runs(name: str, seed: int) -> None:
    main = recorded(name)["main.bin"]
    watch, eye = look(main, seed)
    assert (eye.channel, watch.unseen, watch.main.complete) == ("main", [], True)
    watch.over()
    rounds = told(watch, "precopy_round")
    image = recorded(name)["ram0.img"]
    zero = sum(image[at : at + 4096] == bytes(4096) for at in range(0, len(image), 4096))
    assert sum(one["pages"] for one in rounds) == 256 - zero
    assert sum(one["zero"] for one in rounds) == zero
    assert [section for section, _ in watch.main.sections] == ["ram", "timer", "globalstate"]


def test_a_run_is_stepped_over_at_once() -> None:
    main = recorded("qemu-10.0-none-0ch")["main.bin"]
    found: list[Any] = SkimmingReader(HeapPool(), DEFAULT_LIMITS).feed(main)
    single = sum(isinstance(one, RamPage | RamZero) for one in found)
    runs = [one for one in found if isinstance(one, PagesPassed)]
    assert single + sum(run.count for run in runs) == 256
    assert single + len(runs) < 200  # every fifth page is zero in this recording, so runs are short


def test_a_round_is_told_when_every_channel_is_past_it_however_far_ahead_one_is() -> None:
    files, watch = recorded("qemu-10.0-none-2ch"), Watch()
    late = There(watch, DEFAULT_LIMITS)
    show(late, files["mfd1.bin"][:64])
    for name in ("mfd0.bin", "main.bin"):
        look(files[name], 1, watch)
    assert told(watch, "precopy_round") == []  # channel 1 has only said hello, so nobody can tell
    show(late, files["mfd1.bin"][64:])
    watch.over()
    rounds = told(watch, "precopy_round")
    assert sum(one["pages"] + one["zero"] for one in rounds) == 256
    assert {one["kind"] for one in told(watch, "multifd_recv_packet")} == {"ram", "sync"}


def test_rounds_are_counted_by_each_channel_s_own_barriers() -> None:
    rounds = Rounds()
    for channel in (0, 1):
        rounds.join(channel)
        rounds.barrier(channel)  # the setup's
    rounds.add(0, 5, 1, 100)
    rounds.barrier(0)
    rounds.add(0, 7, 0, 100)  # a round ahead
    rounds.barrier("main")
    assert [number for number, _ in rounds.whole()] == [0]
    rounds.add(1, 2, 0, 10)
    rounds.add("main", 0, 3, 27)
    rounds.barrier("main")
    rounds.barrier(1)
    assert list(rounds.whole()) == [(1, Round(7, 4, 137))]
    assert list(rounds.rest()) == [(2, Round(7, 0, 100))]


def test_what_breaks_the_protocol_goes_by_unseen() -> None:
    watch, eye = look(Hello(bytes(16), 0).encode() + b"\x16\x03\x01" * 5000)
    assert eye.channel == 0
    assert "no packet begins with 0x160301" in watch.unseen[0]
    watch, eye = look(b"GET / HTTP/1.1\r\n\r\n")
    assert (eye.channel, len(watch.unseen)) == (None, 1)


def test_the_last_word_decides_what_became_of_it() -> None:
    for status, completed in ((0, True), (1, False)):
        watch, there = look(recorded("qemu-10.0-none-0ch")["main.bin"])
        assert watch.completed  # without a way back the end of the stream is all there is
        back = Back(watch, there)
        back.seen(memoryview(returnpath.pong(1) + returnpath.shut(status)))
        assert (watch.status, watch.completed) == (status, completed)
        last = {
            event.side: event.get("runnable")
            for log in watch.logs.values()
            for event in log.events()
            if event.event == "vm_state"
        }
        assert last["source"] is not completed


def test_what_never_came_is_named() -> None:
    watch = Watch()
    for idx in (0, 3):
        watch.packets.add("a", idx, 1, 10, config=idx == 3)
    assert missing_idx(watch.packets.of("a")) == [1, 2]
    assert "idx 1, 2 never came" in next(watch.packets.lines())


# on sockets


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        yield listener


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def tap(far: socket.socket, watch: Watch) -> Iterator[tuple[Tap, str]]:
    standing = Tap("{}:{}".format(*far.getsockname()), watch)
    yield standing, standing.listen()
    standing.close()


def pair(address: str, far: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection through the tap."""
    near = connect(address)
    near.settimeout(SECONDS)
    other, _ = far.accept()
    other.settimeout(SECONDS)
    return near, other


def everything(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(1 << 16), b""))


def test_bytes_pass_both_ways_and_each_end_is_told_when_the_other_is_done(
    tap: tuple[Tap, str], far: socket.socket
) -> None:
    standing, address = tap
    files = recorded("qemu-10.0-none-2ch")
    near, other = pair(address, far)
    near.sendall(files["main.bin"])
    near.shutdown(socket.SHUT_WR)
    assert everything(other) == files["main.bin"]
    other.sendall(returnpath.shut(0))
    other.close()
    assert everything(near) == returnpath.shut(0)
    near.close()
    assert standing.wait(SECONDS)


def test_large_payloads_arrive_whole_and_are_named(
    tap: tuple[Tap, str], far: socket.socket, watch: Watch
) -> None:
    packets = lzma.decompress((CAPTURES / "qemu-10.0-device-state.bin.xz").read_bytes())
    sent = Hello(bytes(16), 0).encode() + packets
    near, other = pair(tap[1], far)
    near.sendall(sent)
    near.shutdown(socket.SHUT_WR)
    assert everything(other) == sent
    assert len(watch.packets) == 4
    near.close()
    other.close()


def test_a_reset_is_passed_on_as_one(tap: tuple[Tap, str], far: socket.socket) -> None:
    near, other = pair(tap[1], far)
    near.sendall(b"QEVM")
    assert other.recv(4) == b"QEVM"
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    other.close()
    with near, pytest.raises(ConnectionResetError):
        near.recv(1)


def heard(address: str) -> bytes:
    """What is answered at `address`; a tap on a busy machine may reset the connection while it is made."""
    with connect(address) as near:
        near.settimeout(SECONDS)
        return near.recv(1)


def test_without_a_destination_the_source_is_turned_away(watch: Watch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = "{}:{}".format(*closed.getsockname())
    standing = Tap(nowhere, watch)
    address = standing.listen()
    with pytest.raises(ConnectionResetError):
        heard(address)
    standing.close()
    assert "Connection refused" in told(watch, "connection_refused")[0]["reason"]
    assert not watch.completed


def test_connections_are_made_in_the_order_in_which_they_came(
    tap: tuple[Tap, str], far: socket.socket
) -> None:
    """QEMU 7.2 takes the first one for the main channel."""
    nears = [connect(tap[1]) for _ in range(20)]
    for number, near in enumerate(nears):
        near.sendall(bytes([number]))
    others = [far.accept()[0] for _ in nears]
    assert [other.recv(1) for other in others] == [bytes([number]) for number in range(20)]
    for end in (*nears, *others):
        end.close()


def test_addresses_may_be_written_as_qemu_does() -> None:
    assert parse("tcp:127.0.0.1:4444") == parse("127.0.0.1:4444") == ("tcp", ("127.0.0.1", 4444))
    assert parse("tcp:[::1]:1") == ("tcp", ("::1", 1))
    assert parse("unix:/run/qemu") == ("unix", "/run/qemu")
    with pytest.raises(UsageError, match="is not HOST:PORT"):
        parse("somewhere")
