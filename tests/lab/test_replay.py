"""A replay in the place of a source: what it sends when, what it waits for, how it ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import ConnectionLostError, MigemuError, PeerRefusedError, PeerTimeoutError
from migemu.lab.capture import Capture
from migemu.lab.capture_write import CaptureWriter
from migemu.lab.replay import Played, Player
from migemu.lab.replay_check import recorded_digests, told
from migemu.link.order_arm import arm, rules_for
from migemu.link.order_item import Item, Sections, of_message
from migemu.scenario import loads
from migemu.threads.native import NativeThreads
from migemu.wire import extension, mainwriter, returnpath
from migemu.wire.buffers import HeapPool
from migemu.wire.hello import Hello
from migemu.wire.mainreader import MainReader
from migemu.wire.multifd import encode_ram_header, sync_packet
from migemu.wire.returnpath import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELLO = Hello(bytes(16), 0).encode()
SYNCS = [encode_ram_header(sync_packet(number)) for number in range(3)]
LOADED = [Message(returnpath.LOADED, part) for part in extension.split_parts(b'{"ram": "abc"}')]
PATIENCE = 0.5


def command(number: int, data: bytes = b"") -> bytes:
    return mainwriter.command(number, data)


BEGIN = mainwriter.file_header() + mainwriter.configuration("11.1")
PING, RETURN_PATH, START = command(2, bytes(4)), command(1), command(extension.CMD_START)
END = mainwriter.eof() + mainwriter.vmdesc({"page_size": 4096, "devices": []})
PONG, SHUT = Message(returnpath.PONG, bytes(4)), Message(returnpath.SHUT, bytes(4))


class Recording:
    """Writes a capture, step by step."""

    def __init__(self, folder: Path, scenario: str = "") -> None:
        self.folder = folder
        self.now = 0.0
        self._writer = CaptureWriter(folder, loads(scenario, environ={}), self._clock)
        self._sections, self._reader = Sections("in"), MainReader(HeapPool())
        self._main, self._other = self._writer.open(), self._writer.open()
        for tape in (self._main, self._other):
            tape.item(Item("in", None, "Connect"))
        self._main.named("main")
        self._other.named(0)
        self._other.data(memoryview(HELLO))
        self._other.item(Item("in", 0, "Hello", (HELLO,)))

    def _clock(self) -> float:
        self.now += 0.01
        return self.now

    def main(self, data: bytes) -> Recording:
        self._main.data(memoryview(data))
        for record in self._reader.feed(data):
            self._main.item(self._sections.item(record))
        return self

    def sync(self, number: int) -> Recording:
        self._other.data(memoryview(SYNCS[number]))
        self._other.item(Item("in", 0, "RamPacket", (SYNCS[number],), flags=frozenset({"sync"})))
        return self

    def torn(self, data: bytes) -> Recording:
        """Bytes of a packet that never became whole, and the end of that channel."""
        self._other.data(memoryview(data))
        self._other.closed("the stream ended inside a RAM packet's header")
        return self

    def answer(self, *messages: Message) -> Recording:
        for message in messages:
            self._main.reply(of_message(message))
        return self

    def capture(self) -> Capture:
        assert self._writer.finish() is None
        return Capture(self.folder)


class Listener:
    """A destination that keeps what it gets, and answers what a story says."""

    def __init__(self, answers: dict[bytes, list[Message]] | None = None) -> None:
        self.got: dict[str, bytearray] = {}
        self.log: list[str] = []
        self.writer: asyncio.StreamWriter | None = None
        self._answers = answers or {}
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._serving)  # until every connection has ended

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())  # type: ignore[arg-type]  # there is one
        name, got = "", bytearray()
        while data := await reader.read(1 << 16):
            got += data
            name = name or ("main" if got.startswith(b"QEVM") else "mfd0")
            self.got[name] = got
            self.log.append(name)
            if name == "main":
                self.writer = writer
                self._answer(writer, got)
        self.log.append(f"{name} ends")
        writer.close()

    def _answer(self, writer: asyncio.StreamWriter, got: bytearray) -> None:
        for asked in [asked for asked in self._answers if asked in got]:
            for message in self._answers.pop(asked):
                writer.write(returnpath.encode(message.type, message.data))


async def play(
    capture: Capture, port: int, rules: str = "", sleep: Callable[[float], Any] | None = None
) -> Played:
    scenario = loads(rules, environ={})
    failed: list[MigemuError] = []
    loop = asyncio.get_running_loop()
    orders, _ = arm(rules_for(scenario, "source"), scenario, NativeThreads(), loop, failed.append)
    with ExitStack() as stack:
        player = Player(capture, orders, PATIENCE, stack, sleep)
        return await asyncio.wait_for(player.run("127.0.0.1", port), 20)


async def test_every_byte_is_sent_and_the_connections_are_closed(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN).sync(0).main(PING).sync(1).main(END).capture()
    listener = Listener()
    async with listener as port:
        played = await play(capture, port)
    assert listener.got == {"main": BEGIN + PING + END, "mfd0": HELLO + SYNCS[0] + SYNCS[1]}
    assert {"main ends", "mfd0 ends"} <= set(listener.log)
    assert (played.packets, played.bytes) == (8, sum(map(len, listener.got.values())))


async def test_an_answer_that_was_waited_for_is_waited_for(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN + PING).answer(PONG).sync(0).main(END).capture()
    async with Listener() as port:
        with pytest.raises(PeerTimeoutError, match="while waiting for the destination's PONG"):
            await play(capture, port)
    listener = Listener({PING: [PONG]})
    async with listener as port:
        played = await play(capture, port)
    assert played.answers == {"PONG": 1}
    assert listener.got["mfd0"] == HELLO + SYNCS[0]


async def test_start_is_sent_only_to_a_destination_that_has_loaded(tmp_path: Path) -> None:
    """Also where the recording lost the answer."""
    capture = Recording(tmp_path).main(BEGIN + RETURN_PATH + END + START).answer(SHUT).capture()
    listener = Listener()
    async with listener as port:
        with pytest.raises(PeerTimeoutError, match="for the destination to load everything"):
            await play(capture, port)
    assert START not in listener.got["main"]
    listener = Listener({END: LOADED, START: [SHUT]})
    async with listener as port:
        played = await play(capture, port)
    assert (played.loaded, played.shut) == ({"ram": "abc"}, 0)


async def test_signs_of_life_are_not_waited_for(tmp_path: Path) -> None:
    alive = Message(returnpath.ALIVE)
    capture = Recording(tmp_path).main(BEGIN).answer(alive, alive).main(END).capture()
    async with Listener() as port:
        assert (await play(capture, port)).shut is None


async def test_a_destination_that_fails_says_why(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN + RETURN_PATH).answer(PONG).main(END).capture()
    listener = Listener({RETURN_PATH: [Message(returnpath.FAILED, b"no room")]})
    async with listener as port:
        with pytest.raises(PeerRefusedError, match="the destination failed: no room"):
            await play(capture, port)


async def test_a_goodbye_with_a_status_is_a_failure(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN + RETURN_PATH + END).capture()
    async with Listener({END: [Message(returnpath.SHUT, b"\0\0\0\1")]}) as port:
        with pytest.raises(PeerRefusedError, match="ended with status 1"):
            await play(capture, port)


async def test_a_packet_that_never_became_whole_ends_its_channel_as_it_did(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN).sync(0).torn(SYNCS[1][:500]).main(END).capture()
    listener = Listener()
    async with listener as port:
        await play(capture, port)
    assert listener.got["mfd0"] == HELLO + SYNCS[0] + SYNCS[1][:500]


async def test_rules_of_the_stream_out_act(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN).sync(0).main(PING).sync(1).main(END).capture()
    rules = (
        '[[order]]\ntype = "drop"\nstream = "out"\nselect = { command = "PING" }\n'
        '[[order]]\ntype = "duplicate"\nstream = "out"\nselect = { flag = "sync", nth = 1 }\n'
    )
    listener = Listener()
    async with listener as port:
        await play(capture, port, rules)
    assert listener.got == {"main": BEGIN + END, "mfd0": HELLO + SYNCS[0] + SYNCS[0] + SYNCS[1]}


async def test_one_connection_that_is_held_does_not_hold_the_others(tmp_path: Path) -> None:
    capture = Recording(tmp_path).sync(0).main(BEGIN + PING).sync(1).main(END).capture()
    rules = (
        '[[order]]\ntype = "hold"\nstream = "out"\nselect = { flag = "sync", nth = 1 }\n'
        'attributes = { until = { command = "PING" } }\n'
        '[[order]]\ntype = "hold"\nstream = "out"\nselect = { record = "Connect", channel = 0 }\n'
        'attributes = { until = { record = "FileHeader" } }\n'
    )
    listener = Listener()
    async with listener as port:
        await play(capture, port, rules)
    assert listener.log[0] == "main"
    assert listener.got["mfd0"] == HELLO + SYNCS[0] + SYNCS[1]


async def test_a_rule_that_refuses_a_connection_ends_the_replay_by_name(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN + END).capture()
    rule = '[[order]]\nname = "no"\ntype = "refuse"\nstream = "out"\nselect = { record = "Connect" }\n'
    async with Listener() as port:
        with pytest.raises(ConnectionLostError, match="order rule no refused it"):
            await play(capture, port, rule)


async def test_at_recorded_speed_the_steps_keep_their_distance(tmp_path: Path) -> None:
    recording = Recording(tmp_path).main(BEGIN)
    recording.now += 30.0
    capture = recording.sync(0).main(END).capture()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with Listener() as port:
        await play(capture, port, sleep=sleep)
    assert max(slept) == pytest.approx(30, abs=1)


async def test_a_capture_whose_file_is_too_short_says_so(tmp_path: Path) -> None:
    Recording(tmp_path).main(BEGIN).sync(0).main(END).capture()
    (tmp_path / "mfd0.bin").write_bytes(HELLO + SYNCS[0][:100])
    async with Listener() as port:
        with pytest.raises(MigemuError, match="the capture ends inside a RamPacket of 1344 bytes"):
            await play(Capture(tmp_path), port)


async def test_nobody_is_there(tmp_path: Path) -> None:
    async with Listener() as port:
        pass
    with pytest.raises(ConnectionLostError, match=rf"no destination at 127\.0\.0\.1:{port}"):
        await play(Recording(tmp_path).main(BEGIN + END).capture(), port)


def test_what_was_loaded_is_compared_with_what_was_loaded_then(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN).answer(PONG, *LOADED, SHUT).capture()
    recorded = recorded_digests(capture)
    assert recorded == {"ram": "abc"}
    assert told(Played(loaded={"ram": "abc"}), recorded).same is True
    assert told(Played(loaded={"ram": "abd"}), recorded).same is False
    assert told(Played(), recorded).same is None
    assert told(None, recorded).plain()["packets"] == 0
    assert "NOT what was loaded" in told(Played(loaded={}), recorded).lines()[2]
    assert json.dumps(told(Played(packets=3), None).plain())


def test_a_return_path_without_digests_or_in_pieces_compares_with_nothing(tmp_path: Path) -> None:
    capture = Recording(tmp_path).main(BEGIN).answer(PONG).capture()
    assert recorded_digests(capture) is None
    (tmp_path / "return.bin").write_bytes(b"\xff\xff\0\0")
    assert recorded_digests(capture) is None
