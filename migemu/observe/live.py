"""Watching a migration: a picture on a terminal, plain lines everywhere else.

Feed it events of either side from any thread, best as the subscriber of an event log::

    with live_view(console, title) as watch:
        log.subscribe(watch)
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.live import Live

from migemu.observe import lines
from migemu.observe.board import Board
from migemu.observe.boardview import draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from rich.console import Console, RenderableType

    from migemu.observe.events import Event

EVERY = 1.0
"""Seconds between two plain lines of progress."""


class Watcher:
    """Takes events of both sides, from any thread, and keeps the board."""

    def __init__(self, console: Console, title: str = "") -> None:
        self.board = Board()
        self._console = console
        self._title = title
        self._lock = threading.Lock()  # two sides' readers feed one board

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            self.board.feed(event)
            self._tell(event)

    def _tell(self, event: Event) -> None:
        """Say at once what a picture cannot hold; the picture shows the rest."""

    def picture(self) -> RenderableType:
        """What the terminal shows now."""
        with self._lock:
            return draw(self.board, self._console, self._title)


class LineWatcher(Watcher):
    """Prints a line for what matters and one a second for what moves."""

    def __init__(self, console: Console, title: str = "") -> None:
        super().__init__(console, title)
        self._told = 0.0

    def _tell(self, event: Event) -> None:
        began = self.board.began or 0.0
        text = lines.line(event, began)
        if event.event == "progress" and self.board.elapsed - self._told >= EVERY:
            self._told = self.board.elapsed
            text = f"{event.t - began:9.3f} s  {'progress':<11}  {lines.progress(self.board)}"
        if text is not None:
            # not Console.print: it would wrap, and a line is a line however long
            self._console.file.write(f"{text}\n")
            self._console.file.flush()


@contextmanager
def live_view(console: Console, title: str = "") -> Iterator[Watcher]:
    """Watch until the block ends; the picture then gives way to the summary."""
    if not console.is_terminal:
        yield LineWatcher(console, title)
        return
    watcher = Watcher(console, title)
    with Live(
        console=console,
        get_renderable=watcher.picture,
        refresh_per_second=10,
        transient=True,
        vertical_overflow="crop",
    ):
        yield watcher


def json_lines(stream: TextIO) -> Callable[[Event], None]:
    """A subscriber that writes each event as a line of JSON, whole however many threads call it."""
    lock = threading.Lock()

    def write(event: Event) -> None:
        line = f"{event.encode()}\n"
        with lock:
            stream.write(line)
            stream.flush()

    return write
