"""What a main channel's first words tell of its source: from recordings of real ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from migemu.errors import ConnectionLostError, WireError
from migemu.qemu.peer import MAGIC, Opening, OpeningProtocol
from migemu.wire import mainwriter
from migemu.wire.buffers import HeapPool
from migemu.wire.extension import CMD_EXTENSION, encode_announcement
from migemu.wire.mainreader import MainReader
from peering.bench import recorded


class Wire:
    """A transport that only remembers."""

    def __init__(self) -> None:
        self.reading = False
        self.protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def read(data: bytes, step: int = 7) -> tuple[OpeningProtocol, Wire]:
    """Bring `data`, `step` bytes at a time, for as long as it is read."""
    wire = Wire()
    protocol = OpeningProtocol(wire, MainReader(HeapPool()))  # type: ignore[arg-type]  # all it does is pause
    protocol.begin()
    at = len(MAGIC)
    while wire.reading and at < len(data):
        room = protocol.get_buffer(-1)
        count = min(step, len(room), len(data) - at)
        room[:count] = data[at : at + count]
        at += count
        protocol.buffer_updated(count)
    return protocol, wire


@pytest.mark.parametrize(
    ("name", "flush"),
    [
        ("qemu-7.2-none-2ch", False),
        ("qemu-10.0-none-2ch", True),
        ("qemu-10.0-none-0ch", False),
    ],
)
async def test_a_qemu_is_read_to_the_end_of_its_ram_setup_and_no_further(
    name: str,
    flush: bool,  # noqa: FBT001  a column of the table
) -> None:
    main = recorded(name)["main.bin"]
    protocol, wire = read(main)
    opening = protocol.opening
    assert (opening.complete, opening.migemu, wire.reading) == (True, False, False)
    assert (opening.machine, opening.flush) == ("none", flush)
    assert [tuple(block)[:2] for block in opening.blocks] == [("ram0", 1 << 20)]
    assert protocol.done.result() is opening
    assert opening.records[-1].__class__.__name__ == "RamEos"


async def test_a_migemu_is_known_by_its_first_command() -> None:
    announcement = encode_announcement("1", ["clock"])
    head = mainwriter.file_header() + mainwriter.configuration("11.1")
    protocol, wire = read(head + mainwriter.command(CMD_EXTENSION, announcement))
    assert (protocol.opening.complete, protocol.opening.migemu, wire.reading) == (True, True, False)


async def test_a_stream_without_configuration_has_a_machine_without_a_version() -> None:
    assert Opening().version.flush_word
    assert Opening(machine="pc-q35-7.2").version.version == (7, 2)


async def test_what_is_no_stream_is_said_to_whoever_waits() -> None:
    protocol, _ = read(b"QEVM\0\0\0\2", step=8)
    with pytest.raises(WireError, match="version 2"):
        await asyncio.wait_for(protocol.done, 1)


async def test_a_source_that_goes_away_meanwhile_too() -> None:
    protocol, _ = read(mainwriter.file_header())
    protocol.eof_received()
    with pytest.raises(ConnectionLostError, match="in its first words"):
        await asyncio.wait_for(protocol.done, 1)
