from __future__ import annotations

import mmap
import threading

import numpy as np
import pytest

from migemu.wire.buffers import MAPPED_FROM, HeapPool, size_class

MIB = 1 << 20


def test_a_buffer_is_exactly_as_long_as_asked(pool: HeapPool) -> None:
    for size in (0, 1, 4096, MAPPED_FROM - 1, MAPPED_FROM, MIB + 12):
        assert len(pool.take(size)) == size


def test_a_large_buffer_is_page_aligned(pool: HeapPool) -> None:
    view = pool.take(MIB).view
    assert np.frombuffer(view, np.uint8).ctypes.data % mmap.PAGESIZE == 0


def test_memory_that_came_back_is_used_again(pool: HeapPool) -> None:
    first = pool.take(MIB)
    first.view[:4] = b"warm"
    first.release()
    assert bytes(pool.take(MIB - 100).view[:4]) == b"warm"  # same size class


def test_a_second_release_does_not_give_the_memory_out_twice(pool: HeapPool) -> None:
    buffer = pool.take(MIB)
    buffer.release()
    buffer.release()
    one, two = pool.take(MIB), pool.take(MIB)
    one.view[0], two.view[0] = 1, 2
    assert one.view[0] == 1


def test_a_late_reader_fails_instead_of_reading_another_payload(pool: HeapPool) -> None:
    buffer = pool.take(MIB)
    buffer.release()
    with pytest.raises(ValueError, match="released"):
        bytes(buffer.view)


def test_a_view_still_exported_does_not_stop_the_release(pool: HeapPool) -> None:
    buffer = pool.take(MIB)
    array = np.frombuffer(buffer.view, np.uint8)
    buffer.release()
    assert pool.free_bytes() == len(array)


def test_no_more_than_keep_stays_mapped() -> None:
    pool = HeapPool(keep=2 * MIB)
    buffers = [pool.take(MIB) for _ in range(5)]
    for buffer in buffers:
        buffer.release()
    assert pool.free_bytes() == 2 * MIB


def test_warming_maps_pages_before_they_are_needed(pool: HeapPool) -> None:
    pool.warm(MIB, 3)
    assert pool.free_bytes() == 3 * MIB


def test_size_classes_waste_at_most_a_quarter_and_keep_powers_of_two() -> None:
    for size in range(MAPPED_FROM, 5 * MIB, 4099):
        room = size_class(size)
        assert size <= room <= size * 1.25 + mmap.PAGESIZE
        assert room % mmap.PAGESIZE == 0
    assert [size_class(1 << bits) for bits in range(16, 31)] == [1 << bits for bits in range(16, 31)]


def test_threads_share_a_pool_without_ever_sharing_a_buffer(pool: HeapPool) -> None:
    clashes: list[int] = []

    def work(mark: int) -> None:
        for _ in range(300):
            buffer = pool.take(MAPPED_FROM)
            buffer.view[:8] = mark.to_bytes(8)
            if int.from_bytes(buffer.view[:8]) != mark:
                clashes.append(mark)
            buffer.release()

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not clashes
    assert 0 < pool.free_bytes() <= 4 * MAPPED_FROM
