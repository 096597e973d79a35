"""The figures of one run, flat: what medians, tables, curves and baselines are made of.

Seconds, bytes, bytes a second and plain ratios, scaled back where the run was dilated. A figure that a run
does not have (its side died, its log was cut, its design has no such phase) is left out, not 0.

The downtime is cut twice. ``part …`` is QEMU's own cut, at its checkpoints. ``path …`` follows the device
that was ready last, because it is the one that everybody waited for: stopping, waiting for its buffers,
loading them, its config under way, ready but not yet allowed, its config load, and what comes after. Both
add up to the downtime.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from migemu.observe import devices as dev
from migemu.observe.catalogue import CHECKPOINTS
from migemu.observe.dilation import scaled_back
from migemu.observe.figures import PART_LABELS
from migemu.observe.index import Index
from migemu.observe.pictures import summed
from migemu.observe.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.observe.events import Event
    from migemu.observe.model import DeviceResult, Result

Figures = dict[str, float]

PATH = {
    "path stop": "stopping the VM",
    "path wait": "waiting for buffers",
    "path load": "loading data",
    "path config on its way": "config on its way",
    "path ready": "ready, not yet allowed",
    "path config": "config load",
    "path after": "verify, commit, start",
}
"""The parts of the last device's way, in order, and what a legend calls them."""

PARTS = {f"part {part}": label for part, label in PART_LABELS.items()}
"""QEMU's parts of the downtime."""

DEVICE_FIELDS = ("transfer", "wait", "load", "ready_wait", "config_load")
"""Per device; a run's figure is the mean over its devices."""

BQL = "bql "
"""Prefix of the time a kind of thread on the destination held the big lock."""


def figures(result: Result, events: Sequence[Event]) -> Figures:
    """All figures of a run.

    Args:
        result: as measured.
        events: the run's, joined.
    """
    full, index = scaled_back(result), Index(events)
    known: dict[str, float | None] = {
        "downtime": full.times.downtime,
        "total": full.times.total,
        "precopy": full.times.precopy,
        "device_rate": full.throughput.device_state,
        "ram_rate": full.throughput.precopy,
        **{f"part {name}": seconds for name, seconds in full.times.parts.model_dump().items()},
        **_means(full.devices),
        **_held(full),
        **_shares(full),
        **_use(index),
        "queue_peak": _queue_peak(index, full.devices),
    }
    path = last_path(index)
    known |= {name: seconds / full.dilation for name, seconds in path.items()}
    return {name: value for name, value in known.items() if value is not None}


def _means(devices: Sequence[DeviceResult]) -> Figures:
    out = {}
    for name in DEVICE_FIELDS:
        values = [value for device in devices if (value := getattr(device, name)) is not None]
        if values:
            out[name] = fmean(values)
    ready = [device.ready_wait for device in devices if device.ready_wait is not None]
    return out | ({"ready_longest": max(ready)} if ready else {})


def _held(result: Result) -> Figures:
    """Seconds per kind of thread: ``load 0000:00:01.0/vfio`` and its like are one kind."""
    held: dict[str, float] = defaultdict(float)
    for holder in result.bql:
        if holder.side == "destination":
            held[BQL + thread_kind(holder.holder)] += holder.seconds
    return dict(held)


def thread_kind(name: str) -> str:
    """``load threads`` for ``load 0000:00:01.0/vfio``, ``incoming`` for itself."""
    kind, _, which = name.partition(" ")
    return f"{kind} threads" if which else kind


def _shares(result: Result) -> Figures:
    """The most and the least loaded channel, against a fair share of 1."""
    shares = [channel.share for channel in result.channels]
    if not shares:
        return {}
    return {"share_most": max(shares) * len(shares), "share_least": min(shares) * len(shares)}


def _queue_peak(index: Index, devices: Sequence[DeviceResult]) -> float | None:
    """Most bytes of all devices together that waited; at least the deepest queue where events are missing."""
    depths = [points for device in devices if (points := dev.queue_depth(index, device.device))]
    deepest = [device.queued_peak for device in devices]
    return max([*(depth for _, depth in summed(depths)), *deepest], default=None)


class _Use(NamedTuple):
    """A side's use of the machine at a moment."""

    t: float
    cpu: float
    memory: float


def _use(index: Index) -> Figures:
    """CPU of each side over the migration, in cores, and its largest memory seen; as the machine had it."""
    out: Figures = {}
    begin = index.at("connected") or 0.0
    for side in ("source", "destination"):
        uses = list(_uses(index, side))
        if not uses:
            continue
        first = max((use for use in uses if use.t <= begin), default=uses[0])
        last = uses[-1]
        out[f"memory_{side}"] = max(use.memory for use in uses)
        if last.t > first.t:
            out[f"cpu_{side}"] = (last.cpu - first.cpu) / (last.t - first.t)
    return out


def _uses(index: Index, side: str) -> Iterable[_Use]:
    for event in index.of("progress"):
        told = Progress.from_fields(event.fields)
        if event.side == side and told.cpu is not None:
            yield _Use(event.t, told.cpu, float(told.memory or 0))


def last_path(index: Index) -> Figures:
    """The downtime along the device whose config was in last, in the run's own seconds; empty if unknown."""
    spans = {name: span for name in index.devices() if (span := dev.config_span(index, name)) is not None}
    start, end = index.checkpoint(CHECKPOINTS[0]), index.checkpoint(CHECKPOINTS[-1])
    if not spans or start is None or end is None:
        return {}
    last = max(spans, key=lambda name: spans[name][1])
    stopped = index.checkpoint(CHECKPOINTS[1]) or start
    loaded = _loaded(index, last)
    ready = dev.ready_at(index, last)
    cuts = [stopped, loaded, ready if ready is not None else loaded, *spans[last], end]
    return _cut(start, cuts, _load_time(index, last))


def _loaded(index: Index, device: str) -> float | None:
    """When the last buffer was in; unknown where some of the events were not kept."""
    event = index.last(dev.LOAD_END, device)
    return None if event is None or index.totals(dev.LOAD_END, device) else event.t


def _load_time(index: Index, device: str) -> float:
    told = dev.device_result(index, device).load
    return told or 0.0


def _cut(start: float, cuts: Sequence[float | None], load: float) -> Figures:
    """Time between cuts; one that is unknown, or seems to precede the one before, counts as simultaneous."""
    lengths, latest = [], start
    for cut in cuts:
        reached = latest if cut is None else max(latest, cut)
        lengths.append(reached - latest)
        latest = reached
    stop, filling, *rest = lengths
    load = min(load, filling)
    return dict(zip(PATH, (stop, filling - load, load, *rest), strict=True))
