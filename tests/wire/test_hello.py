from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import WireError
from migemu.wire.hello import HELLO_SIZE, Hello, identify

if TYPE_CHECKING:
    from wire.conftest import Captured


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("version", ["7.2", "10.0"])
def test_qemus_hello(captured: Captured, version: str, channel: int) -> None:
    raw = captured(f"qemu-{version}-none-2ch")[f"mfd{channel}.bin"][:HELLO_SIZE]
    hello = Hello.decode(raw)
    assert hello == Hello(bytes(16), channel)
    assert hello.encode() == raw


def test_reserved_bytes_are_ignored_as_qemu_ignores_them() -> None:
    raw = Hello(b"u" * 16, 7).encode()
    assert Hello.decode(raw[:25] + b"\xff" * 39) == Hello(b"u" * 16, 7)


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [(0, b"QEVM", "magic 0x5145564d"), (4, b"\0\0\0\2", "version 2, expected 1")],
)
def test_a_wrong_hello_says_what_is_wrong(at: int, value: bytes, says: str) -> None:
    raw = bytearray(Hello(bytes(16), 0).encode())
    raw[at : at + 4] = value
    with pytest.raises(WireError, match=says):
        Hello.decode(bytes(raw))


def test_a_short_hello_is_refused() -> None:
    with pytest.raises(WireError, match="64 bytes, not 63"):
        Hello.decode(bytes(63))


@pytest.mark.parametrize("hello", [Hello(bytes(15), 0), Hello(bytes(16), 256), Hello(bytes(16), -1)])
def test_an_impossible_hello_is_not_written(hello: Hello) -> None:
    with pytest.raises(WireError):
        hello.encode()


@pytest.mark.parametrize("channel", [0, 255])
def test_every_channel_id_of_a_byte_is_one(channel: int) -> None:
    assert Hello.decode(Hello(bytes(16), channel).encode()).channel == channel


def test_channels_are_told_apart_by_their_first_bytes() -> None:
    assert identify(b"QEVM") == "main"
    assert identify(b"\x11\x22\x33\x44") == "multifd"
    with pytest.raises(WireError, match="474554"):
        identify(b"GET ")
