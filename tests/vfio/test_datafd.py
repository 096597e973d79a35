"""Images and sinks: the same bytes whatever stands behind a data fd and however it is cut."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.errors import ConfigError, DeviceError
from migemu.vfio.content import as_bytes
from migemu.vfio.datafd import CopiedFile, MappedFile, open_sink, open_source
from migemu.vfio.generated import BLOCK_SECTORS, SECTOR, Generated
from migemu.vfio.sinks import FileSink, MemfdWindow
from migemu.vfio.virtual import VirtualSpan
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    from migemu.vfio.datafd import Source

POOL = HeapPool()
BLOCK = BLOCK_SECTORS * SECTOR


def content(source: Source, cuts: list[int]) -> bytes:
    """The whole image read in pieces of the given sizes, the last size repeating."""
    parts, offset = [], 0
    while offset < source.size:
        size = min(cuts[0] if len(cuts) == 1 else cuts.pop(0), source.size - offset)
        piece = source.read(offset, size)
        parts.append(bytes(as_bytes(piece.view)))
        piece.release()
        offset += size
    return b"".join(parts)


@given(
    size=st.integers(0, 3 * SECTOR * 4),
    base=st.sampled_from([0, BLOCK - 700, 2**33 + 5]),
    cuts=st.lists(st.integers(1, 2000), min_size=1),
)
def test_generated_content_does_not_depend_on_how_it_is_read(size: int, base: int, cuts: list[int]) -> None:
    source = Generated(7, base + size + SECTOR, POOL)
    whole = bytes(as_bytes(source.read(base, size).view)) if size else b""
    parts, at = [], 0
    for cut in [*cuts, size]:
        count = min(cut, size - at)
        parts.append(bytes(as_bytes(source.read(base + at, count).view)))
        at += count
    assert b"".join(parts) == whole


def test_no_two_sectors_and_no_two_seeds_are_alike() -> None:
    one, other = (content(Generated(seed, 2 * BLOCK, POOL), [1 << 20]) for seed in (1, 2))
    sectors = {one[at : at + SECTOR] for at in range(0, len(one), SECTOR)}
    assert len(sectors) == 2 * BLOCK_SECTORS
    assert one[:4096] != other[:4096]


@pytest.mark.parametrize("copy", [False, True])
def test_a_file_is_given_out_as_it_is(tmp_path: Path, *, copy: bool) -> None:
    (tmp_path / "state").write_bytes(os.urandom(300_001))
    source = open_source(tmp_path / "state", 5, 0, POOL, copy=copy)
    assert isinstance(source, CopiedFile if copy else MappedFile)
    assert content(source, [65536]) == (tmp_path / "state").read_bytes()
    source.close()
    source.close()


def test_a_mapped_file_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(bytes(8192))
    source = open_source(tmp_path / "state", 0, 0, POOL)
    piece = as_bytes(source.read(0, 8192).view)
    with (tmp_path / "state").open("r+b") as file:
        file.write(b"changed under us")
    assert bytes(piece[:16]) == b"changed under us"


def held() -> int:
    """Pages of files that are mapped into this process."""
    return int(Path("/proc/self/statm").read_text().split()[2])


def test_a_file_that_went_through_does_not_stay_in_this_process(tmp_path: Path) -> None:
    size, step = 32 << 20, 1_000_003
    (tmp_path / "state").write_bytes(bytes(size))
    source = open_source(tmp_path / "state", 0, 0, POOL)
    before = held()
    for offset in range(0, size, step):
        piece = source.read(offset, min(step, size - offset))
        sum(as_bytes(piece.view)[:: mmap.PAGESIZE])
        piece.release()
        piece.release()
    assert held() - before < 4 * step // mmap.PAGESIZE
    source.close()


def test_an_empty_file_is_an_empty_image(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    source = open_source(tmp_path / "empty", 5, 0, POOL)
    assert source.size == 0
    source.close()


@pytest.mark.parametrize("copy", [False, True])
def test_a_file_that_shrinks_is_an_error_and_not_a_dead_process(tmp_path: Path, *, copy: bool) -> None:
    state = tmp_path / "state"
    state.write_bytes(bytes(100_000))
    source = open_source(state, 0, 0, POOL, copy=copy)
    source.read(0, 50_000)
    os.truncate(state, 60_000)
    with pytest.raises(DeviceError, match=r"shrank from 100000 to 60000 bytes"):
        source.read(50_000, 50_000)
    source.close()


def test_a_mapping_outlives_its_source_while_pieces_are_on_their_way(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"x" * 8192)
    source = open_source(tmp_path / "state", 0, 0, POOL)
    piece = source.read(4096, 4096)
    source.close()
    assert bytes(as_bytes(piece.view)) == b"x" * 4096


def test_what_cannot_be_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        open_source(tmp_path / "missing", 0, 0, POOL)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="not a regular file"):
        open_source(tmp_path / "pipe", 0, 0, POOL)


def test_a_kept_file_appears_when_it_is_committed_and_not_before(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "kept")
    assert isinstance(sink, FileSink)
    sink.write(memoryview(b"wrong"))
    sink.reset()
    for piece in (b"right", b" and whole"):
        assert sink.write(memoryview(piece)) == len(piece)
    assert not (tmp_path / "kept").exists()
    sink.commit()
    sink.close()
    assert (tmp_path / "kept").read_bytes() == b"right and whole"


def test_an_uncommitted_file_leaves_nothing_behind(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "kept")
    sink.write(memoryview(b"half"))
    sink.close()
    sink.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="cannot keep"):
        open_sink(tmp_path / "no" / "such" / "folder")


def test_virtual_content_does_not_reach_real_code_unnoticed() -> None:
    with pytest.raises(TypeError, match="VirtualSpan has no bytes"):
        MemfdWindow().write(VirtualSpan("vf", 0, 10))  # type: ignore[arg-type]  # what the test is about


def test_a_window_takes_any_amount_in_bounded_memory() -> None:
    sink = MemfdWindow(window=1000)
    assert [sink.write(memoryview(bytes([i]) * 600)) for i in (1, 2, 3)] == [600, 400, 600]
    assert os.pread(sink._fd, 2000, 0) == bytes([3]) * 600 + bytes([2]) * 400
    sink.close()
    sink.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        sink.write(memoryview(b"late"))
