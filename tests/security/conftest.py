"""Processes that a story starts end with it."""

from e2e.conftest import bench

__all__ = ["bench"]
