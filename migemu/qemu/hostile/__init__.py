"""Hostile orders: a source that is a script, rows of what it may do wrong, real QEMUs to play them to."""

from migemu.qemu.hostile import (
    rows_bytes,
    rows_channels,
    rows_device,
    rows_mark,
    rows_platform,
    rows_ram,
    rows_source,
    rows_threads,
)
from migemu.qemu.hostile.table import ROWS, Bench, Row, select

__all__ = [
    "ROWS",
    "Bench",
    "Row",
    "rows_bytes",
    "rows_channels",
    "rows_device",
    "rows_mark",
    "rows_platform",
    "rows_ram",
    "rows_source",
    "rows_threads",
    "select",
]
