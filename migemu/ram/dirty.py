"""The dirty log: which pages were written since it was last asked (QEMU: the dirty bitmap, KVM's dirty log).

The order that keeps every write is: a writer writes its bytes *and then* marks the page; the migration
clears the mark *and then* reads the bytes. Whatever a reader missed of a write is marked after the clear, so
the page is sent again. Either side the other way round loses writes: marked first, the page can be cleared
and copied before the bytes are there; read first, a write between the read and the clear goes unmarked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from migemu.threads.api import Threads


class DirtyLog:
    """One mark for each page, shared by writers and the migration thread.

    Args:
        pages: how many pages RAM has. At first all of them are dirty, since none was sent.
        threads: where the lock comes from.
    """

    def __init__(self, pages: int, threads: Threads) -> None:
        self._dirty = np.ones(pages, dtype=np.bool_)
        # numpy may let other threads run inside one operation, so a mark needs more than the interpreter's
        # lock to be indivisible against fetch_and_clear.
        self._bitmap_mutex = threads.lock("bitmap_mutex")

    def mark(self, pages: npt.NDArray[np.int64]) -> None:
        """Say that `pages` were written; call it after their bytes are in memory."""
        with self._bitmap_mutex:
            self._dirty[pages] = True

    def mark_all(self) -> None:
        """Every page has to be sent (again)."""
        with self._bitmap_mutex:
            self._dirty[:] = True

    def fetch_and_clear(self) -> npt.NDArray[np.int64]:
        """The dirty pages in order, all clean from now on; read their bytes after this returns."""
        with self._bitmap_mutex:
            pages = np.flatnonzero(self._dirty)
            self._dirty[pages] = False
        return pages

    def count(self) -> int:
        """How many pages are dirty now."""
        with self._bitmap_mutex:
            return int(np.count_nonzero(self._dirty))
