"""Digests differ when anything differs, and when a page was forgotten by everybody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.ram import PAGE_SIZE, GuestRam, PageDigests, full_digest
from migemu.ram.digest import ZERO_PAGE_HASH, Algorithm


def filled(pages: int = 8) -> GuestRam:
    ram = GuestRam.of_size(pages * PAGE_SIZE)
    ram.fill(seed=1)
    return ram


def both_sides(ram: GuestRam, indices: list[int]) -> tuple[PageDigests, PageDigests]:
    pages = np.array(indices, np.int64)
    source, destination = PageDigests(len(ram.pages), "source"), PageDigests(len(ram.pages), "destination")
    source.update(pages, ram.pages[pages])
    destination.update_in_place(ram, pages)
    return source, destination


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5, 6, 7], [7, 2, 1, 0, 3, 4, 6, 5]])
def test_sides_that_saw_the_same_pages_agree(order: list[int]) -> None:
    source, destination = both_sides(filled(), order)
    assert source.digest() == destination.digest()
    assert source.digest("sha256") == destination.digest("sha256")
    assert source.digest().startswith("xxh3_128:")


def test_a_page_nobody_sent_makes_the_sides_differ() -> None:
    ram = filled()
    ram.pages[4] = 0  # even if it happens to be zero on both
    source, destination = both_sides(ram, [0, 1, 2, 3, 5, 6, 7])
    assert source.digest() != destination.digest()
    assert source.unseen().tolist() == destination.unseen().tolist() == [4]


def test_a_zero_page_counts_as_seen() -> None:
    source, destination = both_sides(GuestRam.of_size(4 * PAGE_SIZE), [0, 1, 2, 3])
    assert (source.values == ZERO_PAGE_HASH).all()
    assert source.digest() == destination.digest()


def test_pages_that_changed_places_are_noticed() -> None:
    ram = filled()
    source, destination = both_sides(ram, list(range(8)))
    ram.pages[[2, 3]] = ram.pages[[3, 2]]
    destination.update_in_place(ram, np.array([2, 3]))
    assert source.digest() != destination.digest()


BITS = st.sets(st.integers(0, PAGE_SIZE * 8 - 1), min_size=1, max_size=4)


@settings(deadline=None)
@given(BITS)
def test_any_flipped_bits_are_noticed(bits: set[int]) -> None:
    # Top bits of an even number of words among them: a multilinear hash would miss those.
    ram = filled(1)
    source, destination = both_sides(ram, [0])
    for bit in bits | {bit | 63 for bit in bits}:
        ram.pages[0, bit // 8] ^= 1 << bit % 8
    destination.update_in_place(ram, np.array([0]))
    assert source.digest() != destination.digest()


@pytest.mark.parametrize("algorithm", ["xxh3_128", "sha256"])
def test_the_full_digest_reads_all_memory_as_it_is_now(algorithm: Algorithm) -> None:
    ram, same = filled(), filled()
    assert full_digest(ram, algorithm) == full_digest(same, algorithm)
    same.pages[-1, -1] ^= 0x80
    assert full_digest(ram, algorithm) != full_digest(same, algorithm)


def test_the_full_digest_tells_how_ram_is_divided() -> None:
    one = GuestRam([("a", 2 * PAGE_SIZE)])
    two = GuestRam([("a", PAGE_SIZE), ("b", PAGE_SIZE)])
    assert full_digest(one) != full_digest(two)


def test_ram_of_nothing_has_a_digest() -> None:
    ram = GuestRam.of_size(0)
    assert PageDigests(0, "source").digest() == PageDigests(0, "destination").digest()
    assert full_digest(ram) != full_digest(GuestRam.of_size(PAGE_SIZE))
