"""Whatever the bytes are and however they are cut: records or an error of the tree, in bounded memory."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migemu.errors import LimitError, TruncatedError, WireError
from migemu.wire import extension as ext
from migemu.wire import mainstream as ms
from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire import vfio
from migemu.wire.buffers import HeapPool
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.intake import LANDING_SIZE
from migemu.wire.limits import WireLimits
from migemu.wire.mainreader import MainReader
from migemu.wire.multifd import encode_device_header, encode_ram_header, sync_packet
from migemu.wire.reader import PacketReader
from migemu.wire.returnpath import MESSAGES, ReturnPathReader, encode
from migemu.wire.tail import split_tail
from migemu.wire.text import encode_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.wire.buffers import Buffer
    from wire.conftest import Captured, Drive

LIMITS = WireLimits(max_payload=1 << 20, max_non_iterable=1 << 16, max_vmdesc=1 << 16)
relaxed = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

DEVICE = "0000:00:01.0/vfio"
END = w.vfio_word(vfio.END_OF_STATE)
PAGE = bytes(range(256)) * 16
MAIN = b"".join(
    [
        w.file_header(),
        w.configuration("virt-11.1", ["x-ignore-shared"], bytes(16)),
        w.command(ext.CMD_EXTENSION, ext.encode_announcement("0.1", ["digests"])),
        w.command(ms.OPEN_RETURN_PATH) + w.ping(1),
        w.section_start(1, "ram", 0, 4) + w.ram_blocks([r.RamBlock("ram0", 1 << 20, gpa=0)]),
        w.ram_flush() + w.ram_eos() + w.footer(1),
        w.section_start(2, DEVICE, 0, 1) + w.vfio_word(vfio.DEV_SETUP_STATE) + END + w.footer(2),
        w.section_part(1) + w.ram_page_header("ram0", 0) + PAGE + w.ram_zero("ram0", 4096, continued=True),
        w.ram_eos() + w.footer(1),
        w.section_part(2)
        + w.vfio_data_header(300)
        + PAGE[:300]
        + w.vfio_word(vfio.INIT_DATA_SENT)
        + w.footer(2),
        w.command(ms.SWITCHOVER_START) + w.section_end(1) + w.ram_eos() + w.footer(1),
        w.section_full(0, "timer", 0, 2) + bytes(24) + w.footer(0),
        w.section_full(3, "migemu-gic", 0, 1) + w.sized_body(b"gic") + w.footer(3),
        w.section_full(2, DEVICE, 0, 1) + w.vfio_config(bytes(276)) + END + w.footer(2),
    ]
)
TAIL = b"".join(w.section_full(number, "dma", number, 1) + bytes(9) + w.footer(number) for number in range(3))
WHOLE = MAIN + w.eof() + w.vmdesc({"devices": []})
TAILED = MAIN + TAIL + w.eof() + w.vmdesc({"devices": []})
PACKETS = b"".join(
    [
        encode_ram_header(sync_packet(1)),
        encode_device_header(DEVICE, 0, 0, 0, 70_000) + bytes(70_000),
        encode_device_header(DEVICE, 0, 1, 0, 300) + PAGE[:300],
        encode_device_header(DEVICE, 0, 2, 1, 0),
        encode_ram_header(sync_packet(2)),
    ]
)
MAKERS: dict[str, Callable[[HeapPool], MainReader | PacketReader]] = {
    "main": lambda pool: MainReader(pool, LIMITS),
    "multifd": lambda pool: PacketReader(pool, LIMITS),
}
steps = st.lists(st.integers(1, 3000), max_size=30)


@st.composite
def mutated(draw: st.DrawFn, streams: tuple[bytes, ...]) -> bytes:
    """A good stream with a few bytes changed, cut out, or put in."""
    data = bytearray(draw(st.sampled_from(streams)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 8))
        data[at : at + length] = draw(st.binary(max_size=8))
    return bytes(data)


class CountingPool:
    """A heap pool that knows the most it ever lent at one time."""

    def __init__(self) -> None:
        self.heap = HeapPool()
        self.largest = 0

    def take(self, size: int) -> Buffer:
        self.largest = max(self.largest, size)
        return self.heap.take(size)


def allowed(outcome: tuple[Any, ...]) -> bool:
    return outcome[1] in (None, WireError, TruncatedError, LimitError)


@pytest.mark.parametrize("kind", MAKERS)
@given(data=st.binary(max_size=4000), cuts=steps)
@relaxed
def test_random_bytes(drive: Drive, kind: str, data: bytes, cuts: list[int]) -> None:
    assert allowed(drive.outcome(MAKERS[kind](HeapPool()), data, cuts))


@given(data=mutated((WHOLE, TAILED)), cuts=steps)
@relaxed
def test_a_spoilt_main_stream_ends_the_same_however_it_is_cut(
    drive: Drive, data: bytes, cuts: list[int]
) -> None:
    pool = CountingPool()
    outcome = drive.outcome(MainReader(pool, LIMITS), data, cuts)
    assert allowed(outcome)
    assert drive.outcome(MainReader(HeapPool(), LIMITS), data, []) == outcome
    assert pool.largest <= max(LANDING_SIZE, LIMITS.max_payload)


@given(data=mutated((PACKETS,)), cuts=steps)
@relaxed
def test_a_spoilt_channel_ends_the_same_however_it_is_cut(drive: Drive, data: bytes, cuts: list[int]) -> None:
    pool = CountingPool()
    outcome = drive.outcome(PacketReader(pool, LIMITS), data, cuts)
    assert allowed(outcome)
    assert drive.outcome(PacketReader(HeapPool(), LIMITS), data, []) == outcome
    assert pool.largest <= max(LANDING_SIZE, LIMITS.max_payload)


@pytest.mark.parametrize("name", ["qemu-7.2-none-0ch", "qemu-10.0-none-2ch"])
@given(cuts=st.lists(st.integers(1, 100_000), max_size=40))
@settings(relaxed, max_examples=15)
def test_a_recorded_main_stream_is_the_same_however_it_is_cut(
    captured: Captured, drive: Drive, name: str, cuts: list[int]
) -> None:
    raw = captured(name)["main.bin"]
    items, error, _ = drive.outcome(MainReader(HeapPool()), raw, cuts)
    assert error is None
    assert b"".join(items) == raw


@pytest.mark.parametrize("name", ["qemu-7.2-none-2ch", "qemu-10.0-none-2ch"])
@given(cuts=st.lists(st.integers(1, 50_000), max_size=40))
@settings(relaxed, max_examples=15)
def test_a_recorded_channel_is_the_same_however_it_is_cut(
    captured: Captured, drive: Drive, name: str, cuts: list[int]
) -> None:
    raw = captured(name)["mfd0.bin"][HELLO_SIZE:]
    items, error, _ = drive.outcome(PacketReader(HeapPool()), raw, cuts)
    assert error is None
    assert b"".join(items) == raw


@pytest.mark.parametrize("data", [WHOLE, TAILED])
def test_byte_by_byte(drive: Drive, data: bytes) -> None:
    items, error, _ = drive.outcome(MainReader(HeapPool()), data, [1] * len(data))
    assert error is None
    assert b"".join(items) == data


@pytest.mark.parametrize("data", [WHOLE, TAILED])
def test_every_truncation_is_noticed(drive: Drive, data: bytes) -> None:
    """Except right behind EOF, where a stream without a description ends."""
    complete = [
        size for size in range(len(data)) if drive.outcome(MainReader(HeapPool()), data[:size], [])[1] is None
    ]
    assert complete == ([len(MAIN) + 1] if data is WHOLE else [])


@given(data=st.binary(max_size=400), cuts=steps)
@relaxed
def test_random_return_path(data: bytes, cuts: list[int]) -> None:
    reader = ReturnPathReader()
    with contextlib.suppress(WireError):
        for size in [*cuts, len(data)]:
            reader.feed(data[:size])
            data = data[size:]
        reader.ended()


@given(st.lists(st.tuples(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=50))), steps)
@relaxed
def test_the_return_path_is_the_same_however_it_is_cut(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    fitting = [(kind, (data + bytes(16))[: MESSAGES[kind].length]) for kind, data in sent]
    raw = b"".join(encode(kind, data) for kind, data in fitting)
    reader = ReturnPathReader()
    received = []
    for size in [*cuts, len(raw)]:
        received += reader.feed(raw[:size])
        raw = raw[size:]
    assert received == fitting
    reader.ended()


json = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "size", "fields", "x"]), inner)
    ),
    max_leaves=10,
)


@given(tail=mutated((TAIL,)), devices=st.lists(json, max_size=3))
@relaxed
def test_a_description_that_lies_is_refused(tail: bytes, devices: list[Any]) -> None:
    honest = [{"name": "dma", "instance_id": number, "fields": [{"size": 9}]} for number in range(3)]
    with contextlib.suppress(WireError):
        sections = split_tail(tail, encode_object({"devices": [*honest, *devices]}))
        # Whatever it was cut into is all of it: 14 bytes of header, the name, the body, the footer.
        assert sum(14 + len(s.idstr.encode()) + len(s.data) + 5 * s.footer for s in sections) == len(tail)


def test_json_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(WireError):
        split_tail(b"x", b"[" * 200_000)
