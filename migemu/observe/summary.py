"""The last words of a run: one screen for people, plain text when piped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from migemu.observe import amounts, bars
from migemu.observe.dilation import scaled_back
from migemu.observe.figures import PART_LABELS
from migemu.observe.index import SIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from migemu.observe.model import DeviceResult, Result

ROOM = 16
"""Devices listed one by one; of more only the slowest are."""

LABEL = 15
"""Cells for the name in front of a line."""

NARROWEST = 46
"""Cells of the downtime's figures. A terminal that has less folds the lines itself: nothing is cut off."""

WIDEST = 1000
"""Cells to measure a table in."""

NOTHING = (amounts.UNKNOWN, "0 B")
"""A column of nothing else is left out: a tap knows of no loading."""

FIRST_TO_GO = ("queue\npeak", "config\nsize", "ready\nms", "config\nms", "wait\nms", "load\nms")
"""Columns that a narrow terminal does without, in this order; all are in result.json."""


def print_summary(result: Result, console: Console) -> None:
    """Print all of it; a dilated run's figures are scaled back and marked."""
    console.width = max(console.width, NARROWEST)
    with console.capture() as printed:
        _parts(scaled_back(result), console)
    for line in printed.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")  # the cells of a table are padded


def _parts(result: Result, console: Console) -> None:
    _head(result, console)
    if len(result.missing) == len(SIDES):
        return  # nobody was heard of: there is nothing to sum up
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
    width = max(0, min(48, console.width - LABEL - 34))
    before = 0.0
    for name, t in parts:
        bar = bars.span(before / whole, (before + t) / whole, width, bars.fills(console)[0]) if width else ""
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
    if result.devices:
        many = amounts.count(len(result.devices), "device")
        data = sum(_data(result, device) for device in result.devices)
        speed = "" if rates.device_state is None else f", {amounts.rate(rates.device_state)}"
        _line(console, "device state", f"{amounts.size(data)} of {many}{speed}")
    if result.channels:
        shares = [channel.share for channel in result.channels]
        spread = f"{amounts.percent(min(shares))} to {amounts.percent(max(shares))} of the bytes each"
        _line(console, "channels", f"{len(shares)}, {spread}")
    if result.bql:
        most = result.bql[0]
        held = f"{amounts.time(sum(holder.seconds for holder in result.bql))} in all"
        where = f"{amounts.time(most.seconds)} by {most.holder} ({most.side})"
        _line(console, "BQL held", f"{held}, most of it {where}, longest {amounts.time(most.longest)}")


def _source_alone(result: Result) -> bool:
    """Whether what the destination knows is missing, which is most of what there is to tell."""
    return "destination" in result.missing


def _data(result: Result, device: DeviceResult) -> int:
    return device.sent_bytes if _source_alone(result) else device.data_bytes


def _columns(result: Result) -> dict[str, Callable[[DeviceResult], str]]:
    """What is told of a device: of how it was loaded, unless only the source is known."""
    saved = {"\ndata": lambda device: amounts.size(_data(result, device))}
    if _source_alone(result):
        return saved | {"save\nms": lambda device: amounts.ms(device.save)}
    loaded: dict[str, Callable[[DeviceResult], str]] = {
        "config\nsize": lambda device: amounts.size(device.config_bytes),
        "queue\npeak": lambda device: amounts.size(device.queued_peak),
        "wait\nms": lambda device: amounts.ms(device.wait),
        "load\nms": lambda device: amounts.ms(device.load),
        "ready\nms": lambda device: amounts.ms(device.ready_wait),
        "config\nms": lambda device: amounts.ms(device.config_load),
        "total\nms": lambda device: amounts.ms(device.total),
    }
    known = {name for name, tell in loaded.items() for one in result.devices if tell(one) not in NOTHING}
    return saved | {name: tell for name, tell in loaded.items() if name in known}


def _devices(result: Result, console: Console) -> None:
    if not any(device.sent_bytes or device.data_bytes or device.config_bytes for device in result.devices):
        console.print()
        return
    shown, columns = _slowest(result.devices), _columns(result)
    table = _table(shown, columns)
    for name in FIRST_TO_GO:
        if Measurement.get(console, console.options.update(width=WIDEST), table).maximum <= console.width:
            break
        columns.pop(name, None)
        table = _table(shown, columns)
    console.print()
    console.print(table)
    if len(shown) < len(result.devices):
        console.print(
            Text(f"the {len(shown)} slowest of {len(result.devices)}; all are in result.json", "dim")
        )
    console.print()


def _table(shown: Sequence[DeviceResult], columns: Mapping[str, Callable[[DeviceResult], str]]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="dim")
    table.add_column("device", overflow="fold", style="bold")
    lined = all(name.startswith("\n") for name in columns)  # one line of heads is enough then
    for name in columns:
        table.add_column(name.strip() if lined else name, justify="right", no_wrap=True)
    for device in shown:
        table.add_row(_short(device.device), *(tell(device) for tell in columns.values()))
    return table


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
        nothing = f"nothing was compared{' on this side' if result.missing else ''}"
        agree = f"{amounts.count(len(checked), 'digest')} {'agree' if len(checked) > 1 else 'agrees'}"
        _line(console, "verification", agree if checked else nothing, "green" if checked else "yellow")
    alone = _source_alone(result)
    held = [item.name for item in result.invariants if item.ok]
    unseen = [item.name for item in result.invariants if item.ok is None]
    broken = len(result.broken())  # each is a reason and has its line above
    _line(console, "invariants", _kept(held, unseen, broken), "red" if broken else "green")
    gone = "given up by the source" if alone and result.verdict == "completed" else "not known"
    where = {"both": "both sides' VMs may run", "none": "no side's VM may run", "unknown": gone}
    _line(console, "VM", where.get(result.runnable, f"may run on the {result.runnable}"))
    if result.suppressed_events:
        kept = f"{result.suppressed_events} packet events counted, not kept (limits.events)"
        _line(console, "events", kept, "dim")


def _kept(held: list[str], unseen: list[str], broken: int) -> str:
    text = f"{len(held)} hold" + (f", {broken} BROKEN" if broken else "")
    return f"{text}; not checked: {', '.join(unseen)}" if unseen else text
