"""Digests of guest RAM: page by page where bytes leave and where they land, and of all memory at once.

Each page has a 64-bit hash (XXH3), taken on the source from the very copy that is sent and on the
destination from the page where it was put; the digest of RAM is a hash over those of all pages. It costs
nothing after switchover, when the time would count as downtime.

A page that was never sent has no hash but a start value, and the start values of the two sides differ:
otherwise a page that both forgot would go unnoticed. What this cannot see is a page of the source that
changed after it was sent without being marked dirty. :func:`full_digest` sees it: it reads all the memory,
with a second, 128-bit function, and takes its time.

Why not a multilinear hash by ``einsum``, which is as fast: modulo 2**64 it is blind to the top bits of an
even number of words changing together. XXH3 has no such case that is known, reads pages where they lie, and
runs at the speed of the copy beside it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import xxhash

from migemu.ram.guest import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from migemu.ram.guest import GuestRam

Side = Literal["source", "destination"]
Algorithm = Literal["xxh3_128", "sha256"]

ZERO_PAGE_HASH = np.uint64(xxhash.xxh3_64_intdigest(bytes(PAGE_SIZE)))
"""The hash of a page of zeros. Any page may have it, though only this one is likely to."""

START = {"source": np.uint64(1), "destination": np.uint64(2)}
"""What stands for the hash of a page not seen yet."""

_READ = 64 << 20


class _Hash(Protocol):
    def update(self, data: memoryview | bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def _new(algorithm: Algorithm) -> _Hash:
    return hashlib.sha256() if algorithm == "sha256" else xxhash.xxh3_128()


def hash_page(page: memoryview) -> int:
    """The hash of one page of 4096 bytes."""
    return xxhash.xxh3_64_intdigest(page)


def hash_pages(rows: Iterable[npt.NDArray[np.uint8]], count: int) -> npt.NDArray[np.uint64]:
    """The hash of each of `count` pages of 4096 bytes."""
    hashes = map(xxhash.xxh3_64_intdigest, rows)  # type: ignore[arg-type]  # its seed has a default
    return np.fromiter(hashes, np.uint64, count)


def _rows(ram: GuestRam, indices: npt.NDArray[np.int64]) -> Iterable[npt.NDArray[np.uint8]]:
    """The pages numbered `indices` (not empty) as they lie in `ram`, a run of them without a look-up each."""
    first, last = int(indices[0]), int(indices[-1])
    if last - first == len(indices) - 1 and (indices[1:] - indices[:-1] == 1).all():
        return ram.pages[first : last + 1]
    return map(ram.pages.__getitem__, indices.tolist())


class PageDigests:
    """The hash of every page of one side's RAM.

    Several threads may update different pages at once; the same page only with a barrier in between, as on
    the wire.

    Args:
        pages: how many pages RAM has.
        side: whose digests these are: a page one side did not see never equals one the other did not see.
    """

    def __init__(self, pages: int, side: Side) -> None:
        self._start = START[side]
        self.values: npt.NDArray[np.uint64] = np.full(pages, self._start)

    def update(self, indices: npt.NDArray[np.int64], pages: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
        """Hash `pages`, shape (n, 4096), as the content of the pages numbered `indices`; the n hashes."""
        hashes = hash_pages(pages, len(indices))
        self.values[indices] = hashes
        return hashes

    def update_in_place(self, ram: GuestRam, indices: npt.NDArray[np.int64]) -> None:
        """Hash the pages numbered `indices` (at least one) where they lie in `ram`."""
        self.values[indices] = hash_pages(_rows(ram, indices), len(indices))

    def unseen(self) -> npt.NDArray[np.int64]:
        """The numbers of the pages never updated."""
        return np.flatnonzero(self.values == self._start)

    def digest(self, algorithm: Algorithm = "xxh3_128") -> str:
        """One digest over the hashes of all pages, ``algorithm:hex``.

        Equal on both sides if every page was seen by both and was last seen with the same bytes.
        """
        hashed = _new(algorithm)
        hashed.update(self.values.astype("<u8", copy=False).tobytes())
        return f"{algorithm}:{hashed.hexdigest()}"


def full_digest(ram: GuestRam, algorithm: Algorithm = "xxh3_128") -> str:
    """A digest of all bytes of `ram` as they are now and of how they lie in blocks, ``algorithm:hex``."""
    hashed = _new(algorithm)
    for block in ram.blocks:
        hashed.update(f"{block.id} {block.size}\n".encode())
    for at in range(0, ram.size, _READ):
        hashed.update(ram.view[at : at + _READ])
    return f"{algorithm}:{hashed.hexdigest()}"
