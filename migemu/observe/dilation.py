"""Figures of a time-dilated run, as they would be at full speed.

A run dilated by 10 has its model's rates divided and its times multiplied by 10, so that 2 cores can keep
up with hardware they do not have. Its times are divided and its rates multiplied by 10 again here. What
does not come from the model (this machine's own work) shrinks with them: that is the point, and why such
figures are marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from migemu.observe.model import Record, Result

R = TypeVar("R", bound="Record")

DEVICE_TIMES = ("save", "transfer", "total", "wait", "load", "ready_wait", "config_load")


def scaled_back(result: Result) -> Result:
    """The result at full speed and marked as such; as it is when that changes nothing."""
    by = result.dilation
    if by == 1 or result.scaled_back:
        return result
    times = _times(result.times, by, *(name for name in type(result.times).model_fields if name != "parts"))
    parts = _times(times.parts, by, *type(times.parts).model_fields)
    changed: dict[str, Any] = {
        "scaled_back": True,
        "times": times.model_copy(update={"parts": parts}),
        "devices": tuple(_times(device, by, *DEVICE_TIMES) for device in result.devices),
        "bql": tuple(_times(holder, by, "seconds", "longest") for holder in result.bql),
        "ram": _times(result.ram, 1 / by, "bandwidth"),
        "throughput": _times(result.throughput, 1 / by, "precopy", "device_state"),
    }
    return result.model_copy(update=changed)


def _times(record: R, by: float, *names: str) -> R:
    """Divide these fields, where they are known."""
    known = {name: getattr(record, name) for name in names}
    return record.model_copy(update={name: value / by for name, value in known.items() if value is not None})
