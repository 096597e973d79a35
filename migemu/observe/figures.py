"""Times, RAM, channels and the BQL of a run, computed from its events."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from migemu.observe.catalogue import CHECKPOINTS
from migemu.observe.index import between, total
from migemu.observe.model import (
    BqlHolder,
    ChannelResult,
    DowntimeParts,
    Ram,
    Throughput,
    Times,
    Verification,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.observe.events import Event
    from migemu.observe.index import Index
    from migemu.observe.model import DeviceResult

PARTS = tuple(DowntimeParts.model_fields)
"""One part between each two checkpoints."""

PART_LABELS = {part: part.replace("_", " ") for part in PARTS} | {
    "save_non_iterables": "save non-iterables",
    "verify_commit": "verify + commit",
}
"""The parts as people read them."""


def times(index: Index, clock_error: float) -> Times:
    """When the run's phases began and ended."""
    start = index.checkpoint(CHECKPOINTS[0])
    first_round = _first_round_start(index)
    begin = _begin(index)
    return Times(
        total=index.events[-1].t - begin if index.events else 0.0,
        setup=between(begin, first_round),
        precopy=between(first_round, start),
        downtime=between(start, index.checkpoint(CHECKPOINTS[-1])),
        downtime_start=between(begin, start),
        parts=parts(index),
        clock_error=clock_error,
    )


def _begin(index: Index) -> float:
    """The source's first word: a destination may have listened for long before anybody came."""
    source = (event.t for event in index.events if event.side == "source")
    return next(source, index.events[0].t if index.events else 0.0)


def _first_round_start(index: Index) -> float | None:
    """``precopy_round`` says that a round ended; it began when the migration became active, or with RAM."""
    active = (e.t for e in index.of("migrate_set_state") if e.get("state") == "active" and e.side == "source")
    packets = (e.t for e in index.of("multifd_send_packet") if e.get("kind") == "ram")
    return next(active, next(packets, index.at("precopy_round")))


def parts(index: Index) -> DowntimeParts:
    """The downtime, cut.

    A destination checkpoint may seem to precede the source's by the error of the clocks; it counts as
    simultaneous then, so that the parts still add up.
    """
    passed = [index.checkpoint(name) for name in CHECKPOINTS]
    cut: dict[str, float | None] = {}
    latest = passed[0]
    for part, reached in zip(PARTS, passed[1:], strict=True):
        cut[part] = between(latest, reached)
        if latest is not None:
            latest = None if reached is None else max(latest, reached)
    return DowntimeParts(**cut)


def ram(index: Index) -> Ram:
    """What was sent of guest memory."""
    rounds = index.of("precopy_round")
    start = _first_round_start(index)
    seconds = between(start, rounds[-1].t) if rounds else None
    sent = total(rounds, "bytes")
    return Ram(
        rounds=len(rounds),
        pages=total(rounds, "pages"),
        zero_pages=total(rounds, "zero"),
        bytes=sent,
        bandwidth=sent / seconds if seconds else None,
    )


def throughput(index: Index, devices: Sequence[DeviceResult]) -> Throughput:
    """How fast RAM went before the downtime and device data in it."""
    started = index.at("vfio_save_complete_precopy_thread_start")
    ended = index.last("vfio_load_state_device_buffer_load_end") or index.last("vfio_load_bufs_thread_end")
    seconds = between(started, ended.t if ended else None)
    data = sum(device.data_bytes for device in devices)
    return Throughput(
        precopy=_precopy_rate(index),
        device_state=data / seconds if seconds and data else None,
    )


def _precopy_rate(index: Index) -> float | None:
    stop = index.checkpoint(CHECKPOINTS[0])
    rounds = [e for e in index.of("precopy_round") if stop is None or e.t <= stop]
    seconds = between(_first_round_start(index), rounds[-1].t) if rounds else None
    return total(rounds, "bytes") / seconds if seconds else None


def channels(index: Index) -> tuple[ChannelResult, ...]:
    """Packets and bytes per multifd channel: as sent, or as received when the source's log is missing."""
    name = next((n for n in ("multifd_send_packet", "multifd_recv_packet") if index.count(n)), "")
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for packet in index.of(name):
        size = int(packet.get("bytes") or 0)
        add = (1, size, size if packet.get("kind") == "device" else 0)
        _add(sums[int(packet.get("channel", -1))], add)
    for row in index.totals(name):
        add = (row["count"], row["bytes"], row["bytes"] if row["device"] is not None else 0)
        _add(sums[int(row["channel"])], add)
    everything = sum(size for _, size, _ in sums.values()) or 1
    return tuple(
        ChannelResult(
            channel=channel, packets=count, bytes=size, device_bytes=device, share=size / everything
        )
        for channel, (count, size, device) in sorted(sums.items())
    )


def _add(sums: list[int], add: tuple[int, ...]) -> None:
    for place, value in enumerate(add):
        sums[place] += value


def bql(index: Index) -> tuple[BqlHolder, ...]:
    """Who held the big lock, longest in all first; exact sums where a side told them."""
    holds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in index.of("bql_held"):
        holds[event.side, str(event.get("holder"))].append(float(event.get("seconds", 0.0)))
    sums = {key: sum(seconds) for key, seconds in holds.items()}
    for event in index.of("bql_total"):
        sums[event.side, str(event.get("holder"))] = float(event.get("seconds", 0.0))
    holders = (
        BqlHolder(
            side=side,
            holder=holder,
            seconds=seconds,
            times=len(holds[side, holder]),
            longest=max(holds[side, holder], default=seconds),
        )
        for (side, holder), seconds in sums.items()
    )
    return tuple(sorted(holders, key=lambda holder: -holder.seconds))


def verification(index: Index) -> tuple[Verification, ...]:
    """Every digest compared; the destination's and the source's word are merged, a no outweighs a yes."""
    seen: dict[tuple[str, str | None], Event] = {}
    for event in index.of("verify"):
        key = (str(event.get("what", event.get("device", "ram"))), event.get("device"))
        if key not in seen or not event.get("ok"):
            seen[key] = event
    return tuple(
        Verification(what=what, device=device, ok=bool(event.get("ok")), detail=str(event.get("detail", "")))
        for (what, device), event in seen.items()
    )
