"""Detail events beyond the log's limit: added up instead of kept."""

from __future__ import annotations

from typing import Any

NOTHING: dict[str, Any] = {"count": 0, "bytes": 0, "queued_peak": 0, "backwards": 0}


class Totals:
    """Sums of detail events per (event, thread, device, channel).

    The thread is part of the key so that no two threads ever add to the same sum: a read-modify-write
    needs no lock then. Threads that share a name share that risk, and lose a count at worst.
    """

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, Any, Any], list[Any]] = {}

    def add(self, event: str, thread: str, fields: dict[str, Any]) -> None:
        """Count one event: its bytes, the highest ``queued``, and idx that did not grow within a thread."""
        key = (event, thread, fields.get("device"), fields.get("channel"))
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums.setdefault(key, [0, 0, 0, 0, None])
        sums[0] += 1
        sums[1] += fields.get("bytes") or 0
        queued = fields.get("queued")
        if queued is not None and queued > sums[2]:
            sums[2] = queued
        idx = fields.get("idx")
        if idx is not None and sums[4] is not None and idx <= sums[4]:
            sums[3] += 1
        sums[4] = idx

    def rows(self) -> list[dict[str, Any]]:
        """One JSON object per (event, device, channel), threads put together."""
        merged: dict[tuple[str, Any, Any], dict[str, Any]] = {}
        for (event, _, device, channel), sums in list(self._sums.items()):
            blank = {"event": event, "device": device, "channel": channel, **NOTHING}
            row = merged.setdefault((event, device, channel), blank)
            row["count"] += sums[0]
            row["bytes"] += sums[1]
            row["queued_peak"] = max(row["queued_peak"], sums[2])
            row["backwards"] += sums[3]
        return list(merged.values())
