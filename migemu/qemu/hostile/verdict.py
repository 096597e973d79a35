"""What came of a row: the kinds of ends there are, and how one reads."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

EXIT: Final = " (exit code 1)"
"""How a destination ends by itself that may not stay when the load fails."""

TIDYINGS: Final = (
    (r"load of migration failed: [^:]+(: |$)", ""),
    (r"error while loading state [^:]+(: |$)", ""),
    (r"failed to receive packet via multifd channel \d+: ", ""),
    (r"[\w./-]+\.c:\d+: ", ""),
    (r"buffer \d+ would exceed", "buffer would exceed"),
    (r"'([0-9a-f-]{36}|[\d.]+:\d+)'", "..."),
)
"""What many failures say alike, what is not the same in two plays; and what to say instead."""

NOTABLE: Final = 0.7
"""Seconds of silence that are told of a destination that did not hang: less than a row's delay."""


TEN_MIB: Final = 10 << 20
MUCH: Final = 40 << 20
"""Bytes of growth that are told."""


class Kind(StrEnum):
    """How a destination ended."""

    OK = "ok"
    """Completed, and RAM and device state are what the source had."""
    WRONG = "wrong"
    """Completed, and they are not: nobody was told."""
    ERROR = "error"
    """Failed with a reason."""
    WAITS = "waits"
    """Nothing happens any more; its monitor answers."""
    HANG = "hang"
    """Its monitor does not answer any more, not even when every connection has been closed."""
    BLOCKED = "blocked"
    """Its monitor did not answer until every connection was closed."""
    CRASH = "crash"
    """The process ended by a signal."""


def of_process(code: int, words: str) -> tuple[Kind, str]:
    """What a process came to that ended with `code`, negative for a signal, after saying `words`."""
    if code == -signal.SIGKILL:
        return Kind.HANG, "ended by its kill timer"
    kind, how = (Kind.CRASH, f"signal {-code}") if code < 0 else (Kind.ERROR, f"exit code {code}")
    return kind, f"{words} ({how})".strip()


STUCK: Final = frozenset({Kind.HANG, Kind.BLOCKED})
COMPLETED: Final = frozenset({Kind.OK, Kind.WRONG})


def tidied(text: str) -> str:
    """A failure's words without what says nothing in a table."""
    for pattern, instead in TIDYINGS:
        text = re.sub(pattern, instead, text)
    return text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one play of a row came to."""

    kind: Kind
    text: str = ""
    """The reason it gave, what it crashed of, what is wrong."""
    silent: float = 0.0
    """Longest time its monitor did not answer, in seconds; of a hang: as long as it was watched."""
    shut: int | None = None
    """What it said on the return path at the end: 0 for success; None: nothing."""
    grown: int = 0
    """By how many bytes its memory grew, guest RAM left out."""

    def line(self) -> str:
        """For people."""
        stuck = self.kind in STUCK
        silent = f"monitor silent for {self.silent:.{0 if stuck else 1}f} s" if self._silent or stuck else ""
        return self._told((silent, self._promise, self._growth), self.text)

    def cell(self) -> str:
        """For a table: the first of its words that say something, without times."""
        text = next(filter(None, (tidied(part) for part in self.text.removesuffix(EXIT).split("; "))), "")
        return self._told(("monitor silent" if self._silent else "", self._promise, self._growth), text)

    def _told(self, notes: tuple[str, ...], text: str) -> str:
        noted = ", ".join(note for note in notes if note)
        return str(self.kind) + (f" ({noted})" if noted else "") + (f": {text}" if text else "")

    @property
    def _silent(self) -> bool:
        """Whether it did not hang, but its monitor was silent for longer than it should."""
        return self.silent >= NOTABLE and self.kind not in STUCK

    @property
    def grew(self) -> bool:
        """Whether it holds far more memory than before."""
        return self.grown > MUCH

    @property
    def _growth(self) -> str:
        """What it grew by, where that is much."""
        return f"grew by over {self.grown // TEN_MIB * 10} MiB" if self.grew else ""

    @property
    def _promise(self) -> str:
        """What it said on the return path, where that is not what it did."""
        kept = self.shut is None or (self.shut == 0) == (self.kind in COMPLETED)
        return "" if kept else f"SHUT said {self.shut}"

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "kind": str(self.kind),
            "text": self.text,
            "silent": round(self.silent, 3),
            "shut": self.shut,
            "grown": self.grown,
        }
