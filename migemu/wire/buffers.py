"""Where payload bytes live between the socket and the device or guest RAM.

A payload is written once, by the socket, into a :class:`Buffer` and read once, by whoever loads it. The
buffer then goes back to the pool it came from, so that a migration of many GiB touches only as much memory
as is queued at one time: fresh pages cost a fault each, which is dearer than the copy out of the socket.

Channels take buffers on the event loop's thread, load threads give them back on theirs, and the
controlled scheduler runs both on one thread. So nothing here locks: every step that two threads could
meet in is one operation of a ``deque``, a ``dict`` or a ``list``, each atomic in CPython.
"""

from __future__ import annotations

import mmap
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MAPPED_FROM: Final = 64 * 1024
"""Bytes from which a buffer is page aligned (its own mapping) and kept for reuse; below, malloc is faster."""

KEEP_DEFAULT: Final = 64 * 1024 * 1024
"""Free bytes a :class:`HeapPool` keeps unless told otherwise."""

_RELEASED: Final = memoryview(b"")
_RELEASED.release()


class Buffer:
    """Bytes of exactly one payload, on loan from a pool.

    Attributes:
        view: the bytes, writable, exactly as long as what was asked for. After :meth:`release` every use
            of it raises ``ValueError``, so that a late reader fails loudly instead of reading another
            packet's bytes.

    A buffer has one owner at a time; only the owner releases it.
    """

    __slots__ = ("_give_back", "view")

    def __init__(self, view: memoryview, give_back: Callable[[], None] | None = None) -> None:
        self.view = view
        self._give_back = give_back

    @classmethod
    def copy_of(cls, data: bytes | bytearray | memoryview) -> Buffer:
        """A buffer of its own, outside any pool, holding a copy of `data`."""
        return cls(memoryview(bytearray(data)))

    def __len__(self) -> int:
        return len(self.view)

    def release(self) -> None:
        """Give the memory back; the second call does nothing."""
        self.view = _RELEASED
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Pool(Protocol):
    """Where buffers come from."""

    def take(self, size: int) -> Buffer:
        """A writable buffer of exactly `size` bytes; its content is whatever was there before."""
        ...


def size_class(size: int) -> int:
    """Round `size` (bytes, at least one page) up so that one free list serves many sizes.

    Four classes to each doubling: at most a quarter of a buffer is slack, and a class is a multiple of
    the page size. Powers of two, which real packet sizes are, are classes of their own.
    """
    step = max(1 << (size - 1).bit_length() - 3, mmap.PAGESIZE)
    return -(-size // step) * step


class HeapPool:
    """A pool of private anonymous memory with a free list for each size class.

    Args:
        keep: free bytes that stay mapped for reuse; more is returned to the system. Threads that give
            back at the same instant may overshoot it by one buffer each.
    """

    def __init__(self, keep: int = KEEP_DEFAULT) -> None:
        self.keep = keep
        self._free: dict[int, deque[mmap.mmap]] = {}
        # Appended to once per class; iterating a list while another thread appends is safe, a dict is not.
        self._lists: list[tuple[int, deque[mmap.mmap]]] = []

    def take(self, size: int) -> Buffer:
        """A writable buffer of exactly `size` bytes, page aligned from :data:`MAPPED_FROM` bytes on."""
        if size < MAPPED_FROM:
            return Buffer(memoryview(bytearray(size)))
        room = size_class(size)
        free = self._free_list(room)
        try:
            memory = free.pop()  # the newest: its pages are still in the cache
        except IndexError:
            memory = mmap.mmap(-1, room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return Buffer(memoryview(memory)[:size], partial(self._give_back, room, free, memory))

    def warm(self, size: int, count: int) -> None:
        """Touch the memory of `count` buffers of `size` bytes now, so that no downtime pays its page faults.

        A first touch costs about ten times the copy into warm memory (measured: 0.4 ms a MiB).
        """
        buffers = [self.take(size) for _ in range(count)]
        for buffer in buffers:
            buffer.view[:: mmap.PAGESIZE] = bytes(-(-size // mmap.PAGESIZE))
            buffer.release()

    def free_bytes(self) -> int:
        """Bytes on the free lists, that is mapped but not on loan."""
        return sum(room * len(free) for room, free in self._lists)

    def _free_list(self, room: int) -> deque[mmap.mmap]:
        free = self._free.get(room)
        if free is None:
            free = self._free.setdefault(room, deque())
            # Two threads may both list it: then it counts double and less is kept, never more.
            self._lists.append((room, free))
        return free

    def _give_back(self, room: int, free: deque[mmap.mmap], memory: mmap.mmap) -> None:
        if self.free_bytes() + room <= self.keep:
            free.append(memory)
