from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import TruncatedError, WireError
from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire import vmdesc
from migemu.wire.buffers import HeapPool
from migemu.wire.limits import WireLimits
from migemu.wire.mainreader import MainReader
from migemu.wire.tail import split_tail
from migemu.wire.text import encode_object

if TYPE_CHECKING:
    from wire.conftest import Captured, Drive

SUBSECTION = b"\x05\x05fancy" + (1).to_bytes(4)


def described(**device: Any) -> bytes:
    return encode_object({"devices": [{"name": "dma", "instance_id": 0, **device}]})


def dma(body: bytes, footer: bytes = w.footer(5)) -> bytes:
    return w.section_full(5, "dma", 0, 1) + body + footer


@pytest.mark.parametrize(
    ("device", "size"),
    [
        ({"fields": [{"size": 4}, {"size": 2}]}, 6),
        ({"fields": [{"size": 4, "array_len": 8}]}, 32),
        ({"fields": [{"size": 4, "index": 0}, {"size": 4, "index": 1}]}, 8),
        ({"fields": [{"size": 10, "struct": {"fields": [{"size": 4}, {"size": 6}]}}]}, 10),
        ({"size": 9, "fields": [{"name": "data", "size": 9, "type": "buffer"}]}, 9),
        ({"fields": []}, 0),
        ({"fields": [{"size": 0}, {"size": 4, "array_len": 0}, {"size": 2}]}, 2),
    ],
)
def test_a_section_is_as_long_as_its_fields(device: dict[str, Any], size: int) -> None:
    first, second = split_tail(dma(b"x" * size) * 2, described(**device))
    assert first == second
    assert (first.section_id, first.idstr, first.data, first.footer) == (5, "dma", b"x" * size, True)


def test_subsections_have_a_header_of_their_own() -> None:
    inner = {"vmsd_name": "fancy", "fields": [{"size": 3}]}
    device = {"fields": [{"size": 1}], "subsections": [inner, {**inner, "subsections": [inner]}]}
    body = b"x" + (SUBSECTION + b"abc") * 3
    (section,) = split_tail(dma(body), described(**device))
    assert section.data == body


def test_footers_may_be_off() -> None:
    sections = split_tail(dma(b"abc", b"") * 2, described(fields=[{"size": 3}]))
    assert [section.footer for section in sections] == [False, False]


@pytest.mark.parametrize(
    ("tail", "device", "says"),
    [
        (dma(b"abc"), {"fields": [{"size": 30}]}, "runs past the device sections"),
        (dma(b"abc"), {"fields": [{"size": -1}]}, "size -1"),
        (dma(b"abc"), {"fields": [{"size": "3"}]}, "size '3'"),
        (dma(b"abc"), {"fields": [{}]}, "malformed"),
        (dma(b"abc"), {"fields": 7}, "malformed"),
        (dma(b"abc"), {"fields": [{"size": 2}]}, "record 0x63 at byte"),
        (dma(b"abc", w.footer(6)), {"fields": [{"size": 3}]}, "another section's"),
        (dma(b"abc"), {"subsections": [{"vmsd_name": "fancy"}]}, "no subsection at byte"),
        (dma(SUBSECTION), {"subsections": [{"vmsd_name": "plain"}]}, "subsection fancy where"),
        (w.section_full(1, "cpu", 0, 1), {}, "lacks cpu instance 0"),
    ],
)
def test_a_tail_that_does_not_fit_its_description_is_refused(
    tail: bytes, device: dict[str, Any], says: str
) -> None:
    with pytest.raises(WireError, match=says):
        split_tail(tail, described(**device))


def test_subsections_nested_beyond_reason_are_refused() -> None:
    device: dict[str, Any] = {"vmsd_name": "fancy"}
    for _ in range(40):
        device = {"vmsd_name": "fancy", "subsections": [device]}
    with pytest.raises(WireError, match="more than 32 deep"):
        split_tail(dma(SUBSECTION * 40), described(**device))


@pytest.mark.parametrize("description", [b"{", b"[]", b"{}", b'{"devices": [1]}', b'{"devices": [{}]}'])
def test_what_is_no_description_is_refused(description: bytes) -> None:
    with pytest.raises(WireError):
        split_tail(b"", description)


def test_json_inside_device_state_is_not_the_end(drive: Drive) -> None:
    """Whatever a device's state looks like, only the bytes that end the stream count."""
    lure = w.eof() + w.vmdesc({"devices": []})
    raw = w.file_header() + dma(lure + b"more") + w.eof() + w.vmdesc({"devices": [], "x": "\x00" * 3})
    whole = drive.records(raw)
    assert isinstance(whole[1], r.Tail)
    assert whole[1].data == dma(lure + b"more")


@pytest.mark.parametrize("length", [7, 0x06FF, 0x0700, 0x10006, 0x60000])
def test_the_end_is_found_whatever_zeros_the_length_has(length: int) -> None:
    text = b'{"x":"' + b"y" * (length - 8) + b'"}' if length > 7 else b'{"":0 }'
    raw = w.file_header() + dma(bytes(5)) + w.eof() + w.vmdesc_record(text)
    assert MainReader(HeapPool()).feed(raw)[1:] == [r.Tail(dma(bytes(5))), r.Eof(), r.VmDesc(text)]


def test_a_description_above_its_limit_does_not_end_the_tail() -> None:
    reader = MainReader(HeapPool(), WireLimits(max_vmdesc=10))
    reader.feed(w.file_header() + dma(b"") + w.eof() + w.vmdesc_record(b'{"123":456}'))
    with pytest.raises(TruncatedError, match="no description has ended them"):
        reader.ended()


def test_our_description_is_spaced_and_ordered_as_qemus(captured: Captured, drive: Drive) -> None:
    description = drive.records(captured("qemu-10.0-none-2ch")["main.bin"])[-1]
    assert isinstance(description, r.VmDesc)
    ours = vmdesc.build("none", [vmdesc.TIMER, vmdesc.GLOBALSTATE])
    assert ours == json.loads(description.json)
    assert vmdesc.encode(ours) == description.json


def test_our_own_sections_are_cut_by_our_own_description() -> None:
    tail = w.section_full(9, "migemu-gic", 0, 1) + w.sized_body(b"gic") + w.footer(9)
    tail += w.section_full(2, "0000:00:01.0/vfio", 0, 1) + bytes(8) + w.footer(2)
    devices = [vmdesc.sized_device("migemu-gic", 3), vmdesc.vfio_device("0000:00:01.0/vfio", 8)]
    gic, vfio = split_tail(tail, vmdesc.encode(vmdesc.build("none", devices)))
    assert gic.data == w.sized_body(b"gic")
    assert vfio.data == bytes(8)
