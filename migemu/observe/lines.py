"""Events as plain lines: what a pipe, a log file or a CI job gets instead of the live view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.observe.amounts import count, ms, rate, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.observe.board import Board
    from migemu.observe.events import Event


def describe(event: Event) -> str | None:
    """What an event says to a person, or None when it says too little for a line of its own."""
    tell = TELL.get(event.event)
    return None if tell is None else tell(event)


def line(event: Event, began: float) -> str | None:
    """A whole line: time since `began`, side, text."""
    text = describe(event)
    return None if text is None else f"{event.t - began:9.3f} s  {event.side:<11}  {text}"


def progress(board: Board) -> str:
    """One line for everything that moves, by what `board` was told last; of a side alone, what it knows."""
    if "source" not in board.heard and not board.ram_sent:
        return "nothing has come yet"
    parts = [f"RAM {size(board.ram_sent)} {'sent' if 'source' in board.heard else 'received'}"]
    if board.ram_pending is not None:
        parts.append(f"{size(board.ram_pending)} pending")
    parts.append(rate(board.rate))
    return ", ".join([*parts, *_device_progress(board)])


def _device_progress(board: Board) -> list[str]:
    whole = f" of {size(sum(board.sizes.values()))}" if board.sizes else ""
    if "destination" in board.heard and board.loaded:
        loaded, queued = sum(board.loaded.values()), sum(board.queued.values())
        return [f"devices {size(loaded)}{whole} loaded", f"{size(queued)} queued"]
    return [f"devices {size(sum(board.saved.values()))}{whole} saved"] if board.saved else []


def _round(event: Event) -> str:
    pages = f"{event.get('pages')} pages, {event.get('zero')} zero, {size(event.get('bytes'))}"
    name = f"round {event.get('round')}" if event.get("round") else "last pass, VM stopped"
    return f"RAM {name}: {pages}, {size(event.get('pending'))} pending"


def _vm(event: Event) -> str:
    runs = "runs" if event.get("running") else "stands still"
    return f"VM {runs}, {'may' if event.get('runnable') else 'may not'} be run here"


def _verify(event: Event) -> str | None:
    """Only what differs: what agrees is in the summary."""
    if event.get("ok"):
        return None
    return (
        f"{event.get('device') or ''} {event.get('what', 'data')} DIFFERS {event.get('detail', '')}".strip()
    )


def _invariant(event: Event) -> str | None:
    if event.get("ok"):
        return None
    return f"invariant {event.get('name')} BROKEN: {event.get('device') or ''} {event.get('detail', '')}"


def _replaced(event: Event) -> str:
    asked, used = event.get("asked"), event.get("handoff")
    return f"machine type {event.get('machine')} has no {asked}: hand-off {used} runs, as in QEMU"


def _order_rule(event: Event) -> str | None:
    """The first time of each rule: a rule may act on every packet."""
    if event.get("times") != 1:
        return None
    names = ("channel", "device", "idx")
    place = " ".join(f"{name} {event.get(name)}" for name in names if event.get(name) not in (None, ""))
    return f"order rule {event.get('rule')}: {event.get('type')} {event.get('record')} {place}".rstrip()


def _order_rule_ended(event: Event) -> str | None:
    """Only what fell short."""
    if event.get("ok"):
        return None
    why = "waited in vain" if event.get("fired") else "never fired"
    return f"order rule {event.get('rule')} {why}{', and is required' if event.get('required') else ''}"


def _thread_end(event: Event) -> str:
    known = [name for name in ("wait", "load", "ready_wait", "config_load") if event.get(name) is not None]
    times = ", ".join(f"{name.replace('_', ' ')} {ms(event.get(name))} ms" for name in known)
    return f"{event.get('device')} loaded" + (f": {times}" if times else "")


TELL: dict[str, Callable[[Event], str | None]] = {
    "migrate_set_state": lambda event: f"migration {event.get('state')}",
    "listening": lambda event: f"listening on {event.get('host')}:{event.get('port')}",
    "handoff_replaced": _replaced,
    "precopy_round": _round,
    "vmstate_downtime_checkpoint": lambda event: str(event.get("checkpoint")),
    "vm_state": _vm,
    "vfio_load_bufs_thread_end": _thread_end,
    "verify": _verify,
    "invariant": _invariant,
    "order_rule_fired": _order_rule,
    "order_rule_expired": lambda event: f"order rule {event.get('rule')}: what it waited for did not come",
    "order_rule_ended": _order_rule_ended,
    "connection_refused": lambda event: f"connection refused: {event.get('reason')}",
    "error": lambda event: f"ERROR {event.get('message')}",
    "events_suppressed": lambda event: f"{count(int(event.get('count', 0)), 'event')} counted, not kept",
}
