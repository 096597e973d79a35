"""One run as a self-contained HTML page: where the downtime went, device by device, channel by channel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from migemu.errors import UsageError
from migemu.observe import amounts, pictures
from migemu.observe.dilation import scaled_back
from migemu.observe.html import Html, Section, details, html_page, mark, paragraph, table
from migemu.observe.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migemu.observe.chart import Chart
    from migemu.observe.events import Event
    from migemu.observe.model import DeviceResult, Result

SURE = 2
"""Columns of a device that are there in any case: its name and its data."""
NOTHING = (amounts.UNKNOWN, "0 B")
"""A column of nothing else says nothing: a tap knows of no loading."""


def write_report(result: Result, events: Sequence[Event], path: str | Path, packets: str = "") -> None:
    """Write the page of one run.

    Args:
        result: the run's.
        events: the run's, joined; without them the page has no timelines.
        path: the HTML file.
        packets: a tap's, which saw no device but every device packet: a line each.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        Path(path).write_text(report(result, events, packets), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the report {path}: {error.strerror}") from None


def report(result: Result, events: Sequence[Event], packets: str = "") -> str:
    """The page of one run as text."""
    index = Index(events)
    full = scaled_back(as_passed(result, index) if packets else result)
    title = " ".join(filter(None, (full.scenario.name or "migration", full.handoff)))
    sections = [section for section in _sections(full, index, packets) if section.body]
    return html_page(title, sections, f"one migration, {full.verdict}, migemu {full.versions.migemu}")


def as_passed(result: Result, index: Index) -> Result:
    """A tap's result with what went by in the place of what was loaded, of which it knows nothing."""
    passed = {device.device: _passed(device, index) for device in result.devices}
    devices = (one.model_copy(update={"data_bytes": passed[one.device]}) for one in result.devices)
    return result.model_copy(update={"devices": tuple(devices)})


def _passed(device: DeviceResult, index: Index) -> int:
    """Bytes of data packets; where there are none all of it went over the main channel."""
    packets = index.of("multifd_send_packet", device.device)
    return sum(int(e.get("bytes")) for e in packets if not e.get("config")) or device.sent_bytes


def _sections(result: Result, index: Index, packets: str) -> Iterator[Section]:
    by = result.dilation
    yield Section("Outcome", outcome(result))
    note = "From stopping the VM on the source until it runs on the destination, cut at QEMU's checkpoints."
    yield Section("Downtime", downtime(result), note)
    chart = pictures.device_chart(index, by)
    note = "Ready means that all data and the config are here, but the design does not allow the config yet."
    yield Section("Devices", _svg(chart) + devices(result.devices), note if chart else "")
    note = "Every one that went by, by device and in the order in which it came."
    count = amounts.count(len(packets.splitlines()), "packet")
    yield Section("Device packets", details(count, packets) if packets else "", note)
    note = "Arrived, but not yet written into the device: all of them, and the device that had most waiting."
    yield Section("Queued bytes", _svg(pictures.queue_chart(index, by)), note)
    sent = sum(channel.bytes for channel in result.channels)
    number = sum(channel.packets for channel in result.channels)
    note = f"{amounts.size(sent)} in {amounts.count(number, 'packet')}."
    yield Section("Channels", _svg(pictures.channel_chart(result)), note)
    yield Section("CPU", _svg(pictures.cpu_chart(index)))
    yield Section("Invariants and verification", checks(result))
    yield Section("What ran", what_ran(result))


def _svg(chart: Chart | None) -> str:
    return "" if chart is None else chart.svg()


def outcome(result: Result) -> Html:
    """The figures that matter, why a run failed, and what limits the figures."""
    times, rates = result.times, result.throughput
    data = sum(device.data_bytes for device in result.devices)
    rows = [
        ("verdict", mark(result.verdict, good=result.verdict == "completed")),
        ("total time", amounts.time(times.total)),
        ("set-up, pre-copy", f"{amounts.time(times.setup)}, {amounts.time(times.precopy)}"),
        ("downtime", amounts.time(times.downtime)),
        ("RAM", f"{amounts.size(result.ram.bytes)} in {amounts.count(result.ram.rounds, 'round')}"),
        ("RAM before the downtime", amounts.rate(rates.precopy)),
        ("device state", " at ".join(filter(None, (amounts.size(data), _known_rate(rates.device_state))))),
        ("clock error between the sides", amounts.time(times.clock_error)),
        ("VM", f"may run on: {'not known' if result.runnable == 'unknown' else result.runnable}"),
    ]
    notes = [*(f"Reason: {reason}" for reason in result.reasons), *caveats(result)]
    return Html(table(("", ""), rows, words=2) + "".join(map(paragraph, notes)))


def _known_rate(rate: float | None) -> str:
    return "" if rate is None else amounts.rate(rate)


def caveats(result: Result) -> Iterator[str]:
    """What a reader must know before quoting the figures."""
    if result.scaled_back:
        by = f"{result.dilation:g}"
        yield f"The run was dilated, {by} times slower; all figures here are scaled back to full speed."
    if result.suppressed_events:
        counted = f"{amounts.count(result.suppressed_events, 'packet event')} counted but not kept"
        yield f"{counted}: the timelines are not complete."
    if result.missing:
        yield f"Nothing was heard of the {' and the '.join(result.missing)}."


def downtime(result: Result) -> str:
    """The downtime's bar and its figures."""
    chart = pictures.downtime_chart({"downtime": result})
    rows = [(name, f"{ms:.1f}") for name, ms in pictures.downtime_parts(result).items()]
    return chart.svg() + table(("part", "ms"), rows) if chart else paragraph("The VM was not stopped.")


def devices(results: Sequence[DeviceResult]) -> str:
    """A row of figures for each device."""
    if not results:
        return ""
    times = ("wait ms", "load ms", "ready ms", "config ms", "total ms")
    heads, rows = ("device", "data", "config", "queue peak", *times), [*map(_device, results)]
    known = [at for at in range(len(heads)) if at < SURE or any(row[at] not in NOTHING for row in rows)]
    return table([heads[at] for at in known], [[row[at] for at in known] for row in rows])


def _device(device: DeviceResult) -> tuple[str, ...]:
    sizes = (device.data_bytes, device.config_bytes, device.queued_peak)
    times = (device.wait, device.load, device.ready_wait, device.config_load, device.total)
    return (device.device, *map(amounts.size, sizes), *map(amounts.ms, times))


def checks(result: Result) -> Html:
    """Every invariant with its verdict, and what differs."""
    words = {True: "holds", False: "BROKEN", None: "not checked"}
    rows = [(item.name, mark(words[item.ok], good=item.ok), item.detail) for item in result.invariants]
    wrong = [item for item in result.verification if not item.ok]
    agree = len(result.verification) - len(wrong)
    agreeing = f"{agree} of {len(result.verification)} digests of source and destination agree."
    lines = [agreeing if result.verification else "No digests were compared."]
    lines += [f"{item.device or ''} {item.what} differs {item.detail}".strip() for item in wrong]
    return Html(table(("invariant", "", ""), rows, words=3) + "".join(map(paragraph, lines)))


def what_ran(result: Result) -> Html:
    """Versions and the effective scenario: what it takes to run it again."""
    versions = [(name, str(value or "-")) for name, value in result.versions.model_dump().items()]
    rows = [*versions, ("seed", str(result.seed)), ("scenario", result.scenario.hash or "-")]
    effective = json.dumps(result.scenario.effective, indent=2, default=str)
    return Html(table(("", ""), rows, words=2) + details("effective scenario", effective))
