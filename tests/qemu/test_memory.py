"""RAM shared with a QEMU: filled, compared, given back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from migemu.errors import ConfigError
from migemu.qemu.memory import PAGE, SharedRam

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, -PAGE, PAGE + 1])
def test_a_size_that_is_no_pages_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match="4096-byte pages"):
        SharedRam(size)


def test_the_file_a_qemu_opens_is_the_same_memory() -> None:
    with SharedRam(8 * PAGE) as ram:
        ram.words[3, 0] = 7
        path = dict(part.split("=", 1) for part in ram.backend()[1].split(",")[1:])["mem-path"]
        with open(path, "r+b") as file:  # noqa: PTH123  as QEMU opens it
            file.seek(3 * PAGE)
            assert file.read(8) == (7).to_bytes(8, "little")
            file.seek(5 * PAGE)
            file.write(b"\1")
            file.flush()
        assert ram.words[5, 0] == 1


def test_every_differing_page_is_found_and_no_other() -> None:
    with SharedRam(10_000 * PAGE) as one, SharedRam(10_000 * PAGE) as other:
        one.fill(3, 0.2)
        other.fill(3, 0.2)
        assert not len(one.differing(other))
        other.words[[0, 4096, 9999], 511] ^= 1
        assert one.differing(other).tolist() == [0, 4096, 9999]


def test_a_file_is_put_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(b"\1" * (PAGE + 8))
    with SharedRam(4 * PAGE) as ram:
        ram.load(tmp_path / "ram")
        assert [int((row != 0).sum()) for row in ram.words] == [512, 1, 0, 0]


def test_a_file_that_is_too_long_or_absent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ram").write_bytes(bytes(PAGE + 1))
    with SharedRam(PAGE) as ram:
        with pytest.raises(ConfigError, match="more than"):
            ram.load(tmp_path / "ram")
        with pytest.raises(ConfigError, match="No such file"):
            ram.load(tmp_path / "nonesuch")


def test_it_is_closed_even_while_a_view_is_held() -> None:
    ram = SharedRam(PAGE)
    held = ram.words
    ram.close()
    assert held.shape == (1, 512)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ram.fd)
