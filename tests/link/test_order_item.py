"""What travels, as rules see it: the same bytes, and the names that `select` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from migemu.link.order_item import Sections, of_bytes, of_message, of_packet
from migemu.scenario import order_names
from migemu.wire import mainstream, returnpath, vfio
from migemu.wire.buffers import Buffer, HeapPool
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.mainreader import MainReader
from migemu.wire.multifd import DevicePacket, encode_device_header, encode_ram_header, sync_packet
from migemu.wire.reader import PacketReader
from migemu.wire.records import Record
from wire.conftest import recorded

if TYPE_CHECKING:
    from migemu.link.order_item import Item


def items_of_main(raw: bytes) -> list[Item]:
    sections = Sections("in")
    return [sections.item(record) for record in MainReader(HeapPool()).feed(raw)]


def test_the_items_of_recorded_streams_are_their_bytes() -> None:
    for name in ("qemu-7.2-none-0ch", "qemu-10.0-none-2ch"):
        raw = recorded(name)["main.bin"]
        assert b"".join(b"".join(item.parts) for item in items_of_main(raw)) == raw


def test_so_are_those_of_recorded_channels() -> None:
    raw = recorded("qemu-10.0-none-2ch")["mfd0.bin"][HELLO_SIZE:]
    reader, packets = PacketReader(HeapPool()), []
    for at in range(0, len(raw), 1 << 16):
        packets += reader.feed(raw[at : at + (1 << 16)])
        while reader.parked:
            packets += reader.resume()
    items = [of_packet(packet, "in", 0) for packet in packets]
    assert b"".join(b"".join(item.parts) for item in items) == raw
    assert {flag for item in items for flag in item.flags} == {"ram", "sync"}


def test_a_record_knows_its_section_and_what_opened_it() -> None:
    items = items_of_main(recorded("qemu-10.0-none-2ch")["main.bin"])
    flushes = [(item.section, item.within) for item in items if "flush" in item.flags]
    assert flushes == [("ram", "SectionStart"), ("ram", "SectionPart"), ("ram", "SectionEnd")]
    command = next(item for item in items if item.record == "Command")
    assert (command.name, command.section) == ("SWITCHOVER_START", "")
    assert [item.section for item in items if item.record == "Footer"] == ["ram"] * 3 + [
        "timer",
        "globalstate",
    ]


def test_what_the_source_sends_is_known_by_its_header() -> None:
    header = encode_device_header("a/vfio", 0, 5, 1, 3)
    item = of_bytes(header, memoryview(b"abc"), 2)
    assert (item.record, item.device, item.idx) == ("DevicePacket", "a/vfio", 5)
    assert item.flags == {"config"}
    assert of_bytes(encode_ram_header(sync_packet(0)), None, 0).flags == {"sync"}


def test_an_owned_item_outlives_its_buffer() -> None:
    pool = HeapPool()
    data = pool.take(1 << 16)
    data.view[:] = bytes([7]) * (1 << 16)
    item = of_packet(DevicePacket("a/vfio", 0, 0, 1, 0, data), "in", 0)
    item.own()
    assert pool.free_bytes() == 1 << 16
    assert bytes(item.parts[0])[288:] == bytes([7]) * (1 << 16)


def test_messages_have_names() -> None:
    item = of_message(returnpath.Message(returnpath.SHUT, bytes(4)))
    assert (item.record, item.name, item.stream) == ("Message", "SHUT", "return")


def test_a_packet_with_pages_and_sync_is_both() -> None:
    """7.2 sets SYNC on an ordinary packet."""
    packet = sync_packet(0)._replace(
        normal=np.array([0], np.uint64), pages=Buffer.copy_of(bytes(4096)), next_packet_size=4096
    )
    assert of_packet(packet, "in", 0).flags == {"ram", "sync"}


def test_the_vocabulary_of_rules_is_the_wires() -> None:
    assert tuple(kind.name for kind in mainstream.COMMANDS.values()) == order_names.COMMANDS
    assert tuple(word.name for word in vfio.WORDS.values()) == order_names.MARKS
    assert tuple(kind.name for kind in returnpath.MESSAGES.values()) == order_names.MESSAGES
    main = {kind.__name__ for kind in get_args(Record)}
    ours = {"Connect", "Hello", "RamPacket", "DevicePacket", "Message", "Close"}
    assert set(order_names.RECORDS) == main | ours
