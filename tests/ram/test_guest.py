"""Guest RAM: its shape, its content from a seed or a file, and that a file is only ever read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from migemu.errors import ConfigError
from migemu.ram import PAGE_SIZE, Block, GuestRam
from migemu.ram.mapping import anonymous


def resident() -> int:
    """Bytes of memory this process has, file mappings aside."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * PAGE_SIZE


def test_new_ram_is_zero_and_takes_memory_only_where_it_is_written() -> None:
    before = resident()
    with GuestRam.of_size(256 << 20) as ram:
        assert not ram.words[::4096].any()
        ram.pages[7] = 1
        assert resident() - before < 64 << 20
        assert ram.view[7 * PAGE_SIZE] == ram.pages[7, 0] == 1


def test_populated_ram_has_its_memory_before_anybody_writes() -> None:
    with GuestRam.of_size(64 << 20) as ram:
        before = resident()
        ram.populate()
        if resident() == before:
            pytest.skip("a kernel before 5.14 cannot populate")
        assert resident() - before > 48 << 20
        assert not ram.words.any()


def test_blocks_lie_one_after_the_other() -> None:
    ram = GuestRam([("pc.ram", 3 * PAGE_SIZE), ("empty", 0), ("pc.rom", PAGE_SIZE)])
    assert ram.blocks == (Block("pc.ram", 0, 3), Block("empty", 3, 0), Block("pc.rom", 3, 1))
    assert ram.block("pc.rom").size == PAGE_SIZE
    assert ram.describe(2) == "block pc.ram offset 0x2000"
    assert ram.describe(3) == "block pc.rom offset 0x0"
    with pytest.raises(KeyError):
        ram.block("vga.vram")


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ([("pc.ram", 5000)], "5000 bytes are not whole pages"),
        ([("pc.ram", -4096)], "not whole pages"),
        ([("a", 4096), ("a", 4096)], "unique"),
        ([("", 4096)], "1 to 255 bytes"),
        ([("x" * 256, 4096)], "1 to 255 bytes"),
        ([("pc.ram", 1 << 60)], "cannot be mapped"),
        ([("pc.ram", 1 << 66)], "cannot be mapped"),
    ],
)
def test_impossible_ram_is_refused(blocks: list[tuple[str, int]], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        GuestRam(blocks)


def test_a_machine_without_ram_is_allowed() -> None:
    with GuestRam.of_size(0) as ram:
        ram.fill(1, 0.5)
        ram.populate()
        assert ram.pages.shape == (0, PAGE_SIZE)


def test_content_depends_on_the_seed_alone() -> None:
    small, large, other = GuestRam.of_size(1 << 20), GuestRam.of_size(9 << 20), GuestRam.of_size(1 << 20)
    small.fill(seed=5, zero_fraction=0.25)
    large.fill(seed=5, zero_fraction=0.25)
    other.fill(seed=-6, zero_fraction=0.25)
    assert np.array_equal(small.words, large.words[: len(small.words)])
    assert not np.array_equal(small.words, other.words)


def test_no_two_pages_have_the_same_content() -> None:
    ram = GuestRam.of_size(32 << 20)
    ram.fill(seed=1)
    assert len({bytes(page) for page in ram.pages}) == len(ram.pages)


def test_each_512_bytes_of_a_page_are_its_own() -> None:
    # Base content repeats every 1024 pages: half of one page and half of another must not look whole.
    ram = GuestRam.of_size(8 << 20)
    ram.fill(seed=1)
    assert (ram.words[0].reshape(8, 64) != ram.words[1024].reshape(8, 64)).any(axis=1).all()


@pytest.mark.parametrize("fraction", [0.0, 0.2, 1.0])
def test_so_many_pages_are_zero(fraction: float) -> None:
    ram = GuestRam.of_size(32 << 20)
    ram.fill(seed=3)
    ram.fill(seed=3, zero_fraction=fraction)  # memory in use before has to be zeroed
    zero = (~ram.words.any(axis=1)).mean()
    assert zero == pytest.approx(fraction, abs=0.02)
    if fraction in {0.0, 1.0}:
        assert zero == fraction


def test_a_file_is_ram_padded_with_zeros_and_never_written(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(3 * PAGE_SIZE + 100)
    file = tmp_path / "image"
    file.write_bytes(content)
    ram = GuestRam.of_file(file)
    assert ram.size == 4 * PAGE_SIZE
    assert bytes(ram.view) == content.ljust(ram.size, b"\0")
    ram.pages[:] = 7
    assert file.read_bytes() == content


def test_ram_may_be_larger_than_its_file(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(b"x" * 10)
    ram = GuestRam.of_file(file, 1 << 20)
    assert bytes(ram.view) == b"x" * 10 + bytes((1 << 20) - 10)
    ram.populate()  # would copy the file; it is left alone
    assert not ram.blank


def test_an_empty_file_is_empty_ram_or_zeros(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.touch()
    assert GuestRam.of_file(file).size == 0
    assert GuestRam.of_file(file, PAGE_SIZE).blank


def test_a_large_file_costs_no_memory_until_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "image"
    with file.open("wb") as out:
        out.truncate(1 << 34)
    before = resident()
    with GuestRam.of_file(file) as ram:
        assert ram.size == 1 << 34
        assert resident() - before < 64 << 20


def test_a_file_that_cannot_be_ram_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(bytes(PAGE_SIZE + 1))
    with pytest.raises(ConfigError, match="4097 bytes, more than the RAM size 4096"):
        GuestRam.of_file(file, PAGE_SIZE)
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        GuestRam.of_file(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="not a regular file"):
        GuestRam.of_file(tmp_path)
    with pytest.raises(ConfigError, match="not a regular file"):
        GuestRam.of_file(Path("/dev/zero"))


def test_ram_can_be_closed_while_somebody_looks() -> None:
    ram = GuestRam.of_size(1 << 20)
    page = ram.pages[3]
    ram.close()
    ram.close()
    assert not page.any()
    assert len(ram.pages) == len(ram.view) == 0


def test_memory_beyond_the_machine_says_so() -> None:
    with pytest.raises(ConfigError, match="ask for less"):
        anonymous(1 << 62)
