"""The concurrency seam: one interface, a native and a controlled implementation."""

from migemu.threads.api import Condition, Lock, Thread, Threads

__all__ = ["Condition", "Lock", "Thread", "Threads"]
