"""The live view's picture: a board drawn for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from migemu.observe import amounts, bars

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from migemu.observe.board import Board

FRAME = 7
"""Lines of the picture that are not devices, the cursor's included."""

ROOMY = 76
"""Cells; a narrower terminal keeps the devices' names whole and does without their states and queues."""


def draw(board: Board, console: Console, title: str = "") -> RenderableType:
    """The whole picture; as many lines as before unless devices or errors were added, so nothing jumps."""
    parts: list[RenderableType] = [_head(board, title), _ram(board, console), _channels(board, console)]
    if board.devices():
        parts.append(_devices(board, console))
    parts += [Text(error, style="bold red", overflow="ellipsis", no_wrap=True) for error in board.errors[-2:]]
    return Group(*parts)


def _head(board: Board, title: str) -> Table:
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column(justify="right", no_wrap=True)
    what = Text.assemble(("migemu", "bold"), f"  {title}  " if title else "  ", (board.state, "bold cyan"))
    if board.checkpoint:
        what.append(f"  {board.checkpoint}", "dim")
    grid.add_row(what, f"{board.elapsed:.1f} s")
    return grid


def _ram(board: Board, console: Console) -> Text:
    size, pending = board.ram_size or 0, board.ram_pending or 0
    reached = size if board.round else min(board.ram_sent, size)  # zero pages are there without being sent
    clean = max(0, reached - pending)
    text = Text.assemble(("RAM       ", "bold"), no_wrap=True, overflow="ellipsis")
    text.append_text(bars.segments([clean, pending], size, _bar_width(console), bars.fills(console)))
    sent = f"  {amounts.size(board.ram_sent)} sent, {amounts.size(board.ram_pending)} dirty"
    return text.append(f"{sent}, round {board.round}" if board.round else sent)


def _channels(board: Board, console: Console) -> Text:
    plain = bars.fills(console) == bars.ASCII_FILLS
    text = Text.assemble(("channels  ", "bold"), no_wrap=True, overflow="ellipsis")
    width = _bar_width(console)
    text.append(bars.sparks(board.channel_rates, width, ascii_only=plain).ljust(width), "blue")
    everything = amounts.size(sum(board.channels))
    return text.append(f"  {amounts.rate(board.rate)} over {len(board.channels)}, {everything} in all")


def _bar_width(console: Console) -> int:
    return max(10, min(40, console.width - 55))


def _devices(board: Board, console: Console) -> Table:
    """One row a device, as many as there is room for, and what the others do."""
    table = Table(box=None, expand=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("device", no_wrap=True, style="bold")
    roomy = console.width >= ROOMY
    if roomy:
        table.add_column("state", no_wrap=True, width=12)
    key = "".join(
        f"{char} {word} " for char, word in zip(bars.fills(console), ("in", "queued", "sent"), strict=False)
    )
    table.add_column(key, no_wrap=True)
    for name in ("loaded", "queued") if roomy else ("loaded",):
        table.add_column(name, justify="right", no_wrap=True, width=9)  # nothing moves sideways
    names = board.devices()
    room = max(3, console.height - FRAME - len(board.errors[-2:]))
    shown = names if len(names) <= room else names[: room - 1]
    rows = [_device_row(board, name, console) for name in shown]
    if len(shown) < len(names):
        rows.append(_others(board, names[len(shown) :]))
    for name, state, bar, loaded, queued in rows:
        table.add_row(*((name, state, bar, loaded, queued) if roomy else (name, bar, loaded)))
    return table


def _device_row(board: Board, name: str, console: Console) -> tuple[str, str, Text, str, str]:
    size, loaded = board.sizes.get(name, 0), board.loaded.get(name, 0)
    queued, saved = board.queued.get(name, 0), board.saved.get(name, 0)
    moving = max(0, saved - loaded - queued)
    bar = bars.segments([loaded, queued, moving], size, _bar_width(console) - 6, bars.fills(console))
    states = (board.device_states[side].get(name) for side in ("destination", "source"))
    state = next((state for state in states if state), "")
    return _short(name), state, bar, amounts.size(loaded), amounts.size(queued)


def _others(board: Board, names: list[str]) -> tuple[str, str, Text, str, str]:
    done = sum(board.loaded.get(name, 0) >= board.sizes.get(name, 1) for name in names)
    sums = (sum(counts.get(name, 0) for name in names) for counts in (board.loaded, board.queued))
    loaded, queued = map(amounts.size, sums)
    return f"{len(names)} more", f"{done} loaded", Text(""), loaded, queued


def _short(device: str) -> str:
    return device.removesuffix("/vfio")
