"""The charts of a run, each drawn from its result or its events; comparisons draw the same ones.

Times are milliseconds since the downtime began, at full speed where the run was dilated.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from migemu.observe import charts
from migemu.observe.catalogue import CHECKPOINTS
from migemu.observe.devices import queue_depth
from migemu.observe.figures import PART_LABELS
from migemu.observe.progress import Progress
from migemu.observe.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from migemu.observe.chart import Chart
    from migemu.observe.index import Index
    from migemu.observe.model import Result
    from migemu.observe.spans import Slice

RESOLUTION = 1500
"""Spans and points a chart's width can show; nearer ones are drawn as one."""

KINDS = {
    "wait": "waiting for buffers",
    "load": "loading data",
    "ready,": "ready, not yet allowed",
    "config": "config load",
}
"""First word of a device's slices and what the legend calls them."""

COLOURS = dict(zip(KINDS.values(), ("#cfd6dd", "#0072b2", "#e69f00", "#009e73"), strict=True))
"""Waiting is pale: nothing happens then."""

MOMENTS = {"dst-precopy-loadvm-completed": "all loaded", "dst-precopy-bh-vm-started": "VM runs"}

AXIS = "ms since the downtime began"


def downtime_chart(results: Mapping[str, Result]) -> Chart | None:
    """The downtime's parts, a bar for each named result; None when no VM was stopped.

    Args:
        results: scaled back already where they were dilated.
    """
    bars = [charts.Stack(name, downtime_parts(result)) for name, result in results.items()]
    if not any(bar.parts for bar in bars):
        return None
    return charts.stacked_bars(bars, "ms", f"the downtime and its parts: {', '.join(results)}")


def downtime_parts(result: Result) -> dict[str, float]:
    """The parts known, by the names people read, in ms."""
    parts = result.times.parts.model_dump()
    return {PART_LABELS[name]: seconds * 1000 for name, seconds in parts.items() if seconds is not None}


def device_chart(index: Index, dilation: float = 1.0) -> Chart | None:
    """When each device waited, loaded, was held up and loaded its config; None when nothing was loaded."""
    start = index.checkpoint(CHECKPOINTS[0]) or 0.0
    picture = [item for item in timeline(index.events).slices if _on_device(item)]
    rows = _rows(picture, start, dilation)
    if not rows:
        return None
    moments = {
        name: _ms(t, start, dilation)
        for checkpoint, name in MOMENTS.items()
        if (t := index.checkpoint(checkpoint)) is not None
    }
    return charts.timeline(rows, AXIS, "what each device did over time", colours=COLOURS, moments=moments)


def _on_device(item: Slice) -> bool:
    return item.track[:2] == ("destination", "devices")


def _ms(t: float, start: float, dilation: float) -> float:
    return (t - start) * 1000 / dilation


def _rows(slices: Sequence[Slice], start: float, dilation: float) -> list[charts.Row]:
    """A row for each device, by name; its spans by kind in the legend's order."""
    spans: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for item in slices:
        kind = KINDS[item.name.split()[0]]
        span = (_ms(item.start, start, dilation), _ms(item.end, start, dilation))
        spans[item.track.name][kind].append(span)
    ends = [end for kinds in spans.values() for pieces in kinds.values() for _, end in pieces]
    gap = max(ends, default=0.0) / RESOLUTION
    return [
        charts.Row(name, {kind: merged(kinds[kind], gap) for kind in KINDS.values() if kind in kinds})
        for name, kinds in sorted(spans.items())
    ]


def merged(spans: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Spans by start, those nearer than `gap` made one."""
    out: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if out and start - out[-1][1] <= gap:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def queue_chart(index: Index, dilation: float = 1.0) -> Chart | None:
    """MiB that wait in the reassembly: of all devices, and of the one that had most; None without any."""
    depths = {name: points for name in index.devices() if (points := queue_depth(index, name))}
    if not depths:
        return None
    start = index.checkpoint(CHECKPOINTS[0]) or 0.0
    largest = max(depths, key=lambda name: max(depth for _, depth in depths[name]))
    series = {"all devices": summed(depths.values()), largest: depths[largest]} if len(depths) > 1 else depths
    drawn = {
        name: [(_ms(t, start, dilation), depth / 2**20) for t, depth in thinned(points)]
        for name, points in series.items()
    }
    return charts.steps(drawn, AXIS, "MiB", "bytes waiting to be loaded over time")


def summed(depths: Iterable[Sequence[tuple[float, int]]]) -> list[tuple[float, int]]:
    """The sum of several levels over time."""
    changes = sorted((t, number, depth) for number, points in enumerate(depths) for t, depth in points)
    now: dict[int, int] = {}
    whole, out = 0, []
    for t, number, depth in changes:
        whole += depth - now.get(number, 0)
        now[number] = depth
        out.append((t, whole))
    return out


def thinned(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """As many points as a chart can show, each the highest of its stretch, so that no peak is lost."""
    size = max(1, -(-len(points) // RESOLUTION))
    stretches = (points[at : at + size] for at in range(0, len(points), size))
    return [max(stretch, key=lambda point: point[1]) for stretch in stretches]


def channel_chart(result: Result) -> Chart | None:
    """Each channel's share of the bytes; None when nothing was sent."""
    if not result.channels:
        return None
    shares = {str(channel.channel): channel.share * 100 for channel in result.channels}
    return charts.columns(shares, "multifd channel", "% of bytes", "each channel's share of the bytes")


def cpu_chart(index: Index) -> Chart | None:
    """CPU used between two words of a side; None where the sides did not tell."""
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    last: dict[str, tuple[float, float]] = {}
    for event in index.of("progress"):
        cpu = Progress.from_fields(event.fields).cpu
        if cpu is None:
            continue
        before = last.get(event.side)
        if before is not None and event.t > before[0]:
            series[event.side].append((before[0], 100 * (cpu - before[1]) / (event.t - before[0])))
        last[event.side] = (event.t, cpu)
    if not series:
        return None
    return charts.steps(series, "s since the start", "% of one core", "CPU use of both sides over time")
