"""The last words of a run: one screen for people, plain text when piped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from migemu.observe import amounts, bars
from migemu.observe.dilation import scaled_back
from migemu.observe.figures import PART_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from migemu.observe.model import DeviceResult, Result

ROOM = 16
"""Devices listed one by one; of more only the slowest are."""

LABEL = 15
"""Cells for the name in front of a line."""


def print_summary(result: Result, console: Console) -> None:
    """Print all of it; a dilated run's figures are scaled back and marked."""
    result = scaled_back(result)
    _head(result, console)
    _downtime(result, console)
    _amounts(result, console)
    _devices(result, console)
    _verdicts(result, console)


def _line(console: Console, name: str, text: str | Text, style: str = "") -> None:
    """A named line; it wraps under itself, never under the name."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=LABEL, style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(name, Text(text, style) if isinstance(text, str) else text)
    console.print(grid)


def _head(result: Result, console: Console) -> None:
    good = result.verdict == "completed"
    what = ", ".join(filter(None, (result.scenario.name, result.handoff, f"seed {result.seed}")))
    _line(
        console,
        "migration",
        Text.assemble((result.verdict, "bold green" if good else "bold red"), f"  {what}"),
    )
    for reason in result.reasons:
        _line(console, "reason", reason, "red")
    if result.missing and not good:
        _line(console, "not heard of", ", ".join(result.missing), "yellow")
    if result.scaled_back:
        _line(console, "time", f"ran {result.dilation:g} times slower, figures scaled back", "yellow")
    if result.virtual:
        _line(console, "time", "virtual: the link, the devices and the clock are models", "yellow")
    times = result.times
    parts = {
        "total": times.total,
        "setup": times.setup,
        "pre-copy": times.precopy,
        "downtime": times.downtime,
    }
    _line(
        console, "times", ", ".join(f"{name} {amounts.time(t)}" for name, t in parts.items() if t is not None)
    )


def _downtime(result: Result, console: Console) -> None:
    """A part a line, its bar where it lies in the whole."""
    parts = [(name, t) for name, t in result.times.parts.model_dump().items() if t is not None]
    whole = sum(t for _, t in parts)
    if not whole:
        return
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=LABEL, style="bold")
    table.add_column(min_width=18)
    table.add_column(justify="right", min_width=9)
    table.add_column()
    width = max(10, min(48, console.width - LABEL - 34))
    before = 0.0
    for name, t in parts:
        bar = bars.span(before / whole, (before + t) / whole, width, bars.fills(console)[0])
        head = "downtime" if not before else ""
        table.add_row(head, PART_LABELS[name], f"{amounts.ms(t)} ms", Text(bar, "cyan"))
        before += t
    table.add_row("", "in all", f"{amounts.ms(whole)} ms", "" if result.times.downtime else "and unknown")
    console.print(table)


def _amounts(result: Result, console: Console) -> None:
    ram, rates = result.ram, result.throughput
    if ram.rounds:
        pages = f"{amounts.count(ram.pages, 'page')} + {ram.zero_pages} zero"
        rounds = f"{pages} in {amounts.count(ram.rounds, 'round')}"
        _line(console, "RAM", f"{amounts.size(ram.bytes)}, {rounds}, {amounts.rate(ram.bandwidth)}")
    data = sum(device.data_bytes for device in result.devices)
    if result.devices:
        many = amounts.count(len(result.devices), "device")
        _line(console, "device state", f"{amounts.size(data)} of {many}, {amounts.rate(rates.device_state)}")
    if result.channels:
        shares = [channel.share for channel in result.channels]
        spread = f"{amounts.percent(min(shares))} to {amounts.percent(max(shares))} of the bytes each"
        _line(console, "channels", f"{len(shares)}, {spread}")
    if result.bql:
        most = result.bql[0]
        held = f"{amounts.time(sum(holder.seconds for holder in result.bql))} in all"
        where = f"{amounts.time(most.seconds)} by {most.holder} ({most.side})"
        _line(console, "BQL held", f"{held}, most of it {where}, longest {amounts.time(most.longest)}")


def _devices(result: Result, console: Console) -> None:
    if not result.devices:
        return
    shown = _slowest(result.devices)
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="dim")
    table.add_column("device", overflow="fold", style="bold")
    sized = ("\ndata", "config\nsize", "queue\npeak")
    for name in (*sized, *(f"{name}\nms" for name in ("wait", "load", "ready", "config", "total"))):
        table.add_column(name, justify="right", no_wrap=True)
    for device in shown:
        sizes = (device.data_bytes, device.config_bytes, device.queued_peak)
        times = (device.wait, device.load, device.ready_wait, device.config_load, device.total)
        table.add_row(_short(device.device), *map(amounts.size, sizes), *map(amounts.ms, times))
    console.print()
    console.print(table)
    if len(shown) < len(result.devices):
        console.print(
            Text(f"the {len(shown)} slowest of {len(result.devices)}; all are in result.json", "dim")
        )
    console.print()


def _slowest(devices: Sequence[DeviceResult]) -> list[DeviceResult]:
    """All when there is room, else the slowest in their own order."""
    if len(devices) <= ROOM:
        return list(devices)
    slow = sorted(devices, key=lambda device: device.total or 0.0)[-ROOM + 4 :]
    return [device for device in devices if device in slow]


def _short(device: str) -> str:
    return device.removesuffix("/vfio")


def _verdicts(result: Result, console: Console) -> None:
    checked = result.verification
    wrong = sum(not item.ok for item in checked)
    if wrong:
        _line(console, "verification", f"{wrong} of {len(checked)} digests DIFFER", "bold red")
    else:
        agree = f"{len(checked)} digests agree" if checked else "nothing was compared"
        _line(console, "verification", agree, "green" if checked else "yellow")
    held = [item.name for item in result.invariants if item.ok]
    unseen = [item.name for item in result.invariants if item.ok is None]
    broken = len(result.broken())  # each is a reason and has its line above
    _line(console, "invariants", _kept(held, unseen, broken), "red" if broken else "green")
    where = {"both": "both sides' VMs may run", "none": "no side's VM may run", "unknown": "not known"}
    _line(console, "VM", where.get(result.runnable, f"may run on the {result.runnable}"))
    if result.suppressed_events:
        kept = f"{result.suppressed_events} packet events counted, not kept (limits.events)"
        _line(console, "events", kept, "dim")


def _kept(held: list[str], unseen: list[str], broken: int) -> str:
    text = f"{len(held)} hold" + (f", {broken} BROKEN" if broken else "")
    return f"{text}; not checked: {', '.join(unseen)}" if unseen else text
