"""corrupt and slice: what a packet's bytes become, and how they come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from link.order_bench import Bench, ram
from migemu.link.order_bytes import FIELDS
from migemu.link.order_item import Item, Sections, of_message, of_packet
from migemu.wire import mainwriter, records
from migemu.wire.buffers import Buffer, HeapPool
from migemu.wire.hello import Hello
from migemu.wire.multifd import DevicePacket, RamPacket, ram_packet
from migemu.wire.reader import PacketReader
from migemu.wire.returnpath import PONG, Message


class Raw:
    """An outlet that keeps bytes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def ready(self) -> bool:
        return True

    def send(self, parts: object) -> bool:
        self.pieces.append(b"".join(parts))  # type: ignore[arg-type]  # a sequence of bytes
        return True

    def end(self, how: str, rule: str) -> None:
        raise AssertionError((how, rule))


def through(text: str, item: Item, *, seed: int = 1) -> tuple[Bench, list[bytes]]:
    """What an item's bytes become under rules."""
    bench, raw = Bench(text, seed=seed), Raw()
    bench.orders.make_lane("in", item.channel, raw).offer(item)
    return bench, raw.pieces


def device(idx: int = 4, size: int = 32) -> Item:
    data = Buffer.copy_of(bytes(range(size)))
    return of_packet(DevicePacket("a/vfio", 0, 0, idx, 0, data), "in", 1)


@pytest.mark.parametrize(
    ("attributes", "changed"),
    [
        ('field = "idx", value = 4294967295', {"idx": 0xFFFFFFFF}),
        ('field = "flags", value = 1', {"flags": 1}),
        ('field = "version", value = "0x10"', {"version": 16}),
        ('field = "instance", xor = 1', {"instance": 1}),
        ('field = "device", value = "b/vfio"', {"device": "b/vfio"}),
        ('field = "data", offset = 3, value = "hex:ffee"', {"data": b"\0\1\2\xff\xee\5\6\7"}),
    ],
)
def test_a_field_of_a_device_packet_is_what_its_reader_then_finds(
    attributes: str, changed: dict[str, object]
) -> None:
    _, (raw,) = through(f'[[order]]\ntype = "corrupt"\nattributes = {{ {attributes} }}\n', device(size=8))
    (packet,) = PacketReader(HeapPool()).feed(raw)
    assert isinstance(packet, DevicePacket)
    found = packet._asdict() | {"data": bytes(packet.data.view)}
    usual = {"device": "a/vfio", "instance": 0, "version": 0, "idx": 4, "flags": 0, "data": bytes(range(8))}
    assert found == usual | changed


def test_a_field_of_a_ram_packet() -> None:
    packet = ram_packet("ram0", np.array([8192], np.uint64), np.array([0], np.uint64), 7)
    item = of_packet(packet._replace(pages=Buffer.copy_of(bytes(4096))), "in", 0)
    _, (raw,) = through(
        '[[order]]\ntype = "corrupt"\nattributes = { field = "offset", value = 4096 }\n'
        '[[order]]\ntype = "corrupt"\nattributes = { field = "packet_num", value = 9 }\n',
        item,
    )
    (found,) = PacketReader(HeapPool()).feed(raw)
    assert isinstance(found, RamPacket)
    assert (found.normal.tolist(), found.packet_num, found.block) == ([4096], 9, "ram0")


def test_a_hello_may_claim_another_channel() -> None:
    hello = Item("in", 0, "Hello", (Hello(bytes(16), 0).encode(),))
    _, (raw,) = through('[[order]]\ntype = "corrupt"\nattributes = { field = "channel", value = 3 }\n', hello)
    assert Hello.decode(raw) == Hello(bytes(16), 3)


def test_without_a_value_one_bit_flips_the_same_each_time() -> None:
    text = '[[order]]\ntype = "corrupt"\nattributes = { field = "data" }\n'
    raws = [through(text, device(), seed=seed)[1][0] for seed in (1, 1, 2)]
    whole = b"".join(device().parts)
    flipped = [sum((new ^ old).bit_count() for new, old in zip(raw, whole, strict=True)) for raw in raws]
    assert flipped == [1, 1, 1]
    assert raws[0] == raws[1] != raws[2]
    assert all(raw[:288] == whole[:288] for raw in raws)


def test_a_field_that_is_not_there_ends_the_side_with_the_fields_that_are() -> None:
    bench, pieces = through(
        '[[order]]\nname = "x"\ntype = "corrupt"\nattributes = { field = "idy" }\n', device()
    )
    assert "order rule x: DevicePacket has no field idy: magic" in str(bench.errors[0])
    assert pieces == [b"".join(device().parts)]


def test_bytes_beyond_a_packet_are_not_made_up() -> None:
    bench, _ = through('[[order]]\ntype = "corrupt"\nattributes = { offset = 5000, value = 1 }\n', device())
    assert "has 320 bytes, none at 5000" in str(bench.errors[0])


def test_pieces_come_one_by_one_with_pauses_and_nothing_else_between() -> None:
    bench = Bench(
        '[[order]]\ntype = "slice"\nselect = { idx = 4 }\nattributes = { at = 64, pause = "1 s" }\n'
    )
    raw = Raw()
    lane = bench.orders.make_lane("in", 1, raw)
    lane.offer(device(4))
    lane.offer(ram("next", 1))
    assert [len(piece) for piece in raw.pieces] == [64]
    bench.clock.pass_by(1)
    assert [len(piece) for piece in raw.pieces] == [64, 256, 4]
    assert b"".join(raw.pieces[:2]) == b"".join(device(4).parts)


def test_byte_by_byte() -> None:
    bench = Bench('[[order]]\ntype = "slice"\n')
    raw = Raw()
    bench.orders.make_lane("in", 1, raw).offer(device())
    bench.clock.pass_by(0.1)
    assert len(raw.pieces) == 320
    assert b"".join(raw.pieces) == b"".join(device().parts)


def test_every_field_lies_inside_the_head_of_its_record() -> None:
    sections = Sections("in")
    examples = [
        device(),
        of_message(Message(PONG, bytes(4))),
        *(sections.item(record) for record in (records.Command(2, bytes(4)), records.Footer(1))),
    ]
    for item in examples:
        size = item.size
        for name, place in FIELDS[item.record].items():
            assert place.at + (place.size or 1) <= size, (item.record, name)
    for fields in FIELDS.values():
        spans = sorted(
            (place.at, place.size or 1) for name, place in fields.items() if name != "packet_flags"
        )
        assert all(a + size <= b for (a, size), (b, _) in pairwise(spans) if a != b)


def test_a_commands_number_and_length_are_where_the_writer_puts_them() -> None:
    raw = mainwriter.command(2, b"\0\0\0\1")
    at = {name: int.from_bytes(raw[p.at : p.at + p.size]) for name, p in FIELDS["Command"].items() if p.size}
    assert at == {"record": 8, "number": 2, "length": 4}
