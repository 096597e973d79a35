from __future__ import annotations

import pytest

from migemu.errors import LimitError, WireError
from migemu.wire import extension as ext
from migemu.wire.limits import DEFAULT_LIMITS


def test_an_announcement_says_version_and_features() -> None:
    said = ext.decode_announcement(ext.encode_announcement("0.1.0", ["digests", "clock"]))
    assert said == {"migemu": "0.1.0", "features": ["digests", "clock"]}


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"migemu":"1"}', b'{"migemu":1,"features":[]}', b"\xff"]
)
def test_what_is_no_announcement_is_refused(data: bytes) -> None:
    with pytest.raises(WireError, match="announcement"):
        ext.decode_announcement(data)


def test_clocks_travel_in_nanoseconds() -> None:
    assert ext.decode_clock(ext.encode_clock(1 << 60)) == 1 << 60
    assert ext.decode_clock_reply(ext.encode_clock_reply(5, 7)) == (5, 7)
    with pytest.raises(WireError, match="has 7 bytes, expected 8"):
        ext.decode_clock(bytes(7))


@pytest.mark.parametrize("size", [0, 1, ext.PART_BYTES, ext.PART_BYTES + 1, 10 * ext.PART_BYTES + 5])
def test_what_is_split_comes_together_again(size: int) -> None:
    reader = ext.PartsReader()
    whole = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for _ in range(2):  # the reader is ready for the next object
        parts = ext.split_parts(whole)
        assert max(map(len, parts)) <= min(0xFFFF, DEFAULT_LIMITS.max_command)
        assert [reader.feed(part) for part in parts] == [None] * (len(parts) - 1) + [whole]


@pytest.mark.parametrize("order", [[1], [0, 0], [0, 2], [0, 1, 1]])
def test_parts_out_of_order_are_refused(order: list[int]) -> None:
    parts = ext.split_parts(bytes(30), size=10)
    reader = ext.PartsReader()
    for number in order[:-1]:
        reader.feed(parts[number])
    with pytest.raises(WireError, match=f"part {order[-1]} of 3"):
        reader.feed(parts[order[-1]])


def test_a_count_that_changes_and_a_part_without_head_are_refused() -> None:
    reader = ext.PartsReader()
    reader.feed(ext.split_parts(bytes(30), size=10)[0])
    with pytest.raises(WireError, match="part 1 of 2"):
        reader.feed(ext.split_parts(bytes(20), size=10)[1])
    with pytest.raises(WireError, match="part 0 of 0"):
        ext.PartsReader().feed(bytes(4))
    with pytest.raises(WireError, match="head of a part"):
        ext.PartsReader().feed(b"abc")


def test_parts_do_not_add_up_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ext.split_parts(bytes(30), size=10)
    monkeypatch.setattr(ext, "MAX_WHOLE", 25)
    reader = ext.PartsReader()
    reader.feed(parts[0])
    reader.feed(parts[1])
    with pytest.raises(LimitError, match="add up to too much"):
        reader.feed(parts[2])
    with pytest.raises(LimitError, match="do not travel"):
        ext.split_parts(bytes(26))
    most = ext.split_parts(bytes(25), size=10)
    reader = ext.PartsReader()
    assert [reader.feed(part) for part in most] == [None, None, bytes(25)]
