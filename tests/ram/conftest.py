"""What the stories of guest memory are told with: a pool and real threads."""

from __future__ import annotations

import pytest

from migemu.threads.native import NativeThreads
from migemu.wire.buffers import HeapPool


@pytest.fixture
def threads() -> NativeThreads:
    return NativeThreads()


@pytest.fixture
def pool() -> HeapPool:
    return HeapPool()
