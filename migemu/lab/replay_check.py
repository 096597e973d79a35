"""What came of a replay, beside what came of the migration that was recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migemu.errors import MigemuError
from migemu.lab.capture_index import RETURN
from migemu.wire import extension, returnpath
from migemu.wire.returnpath import ReturnPathReader
from migemu.wire.text import decode_object

if TYPE_CHECKING:
    from migemu.lab.capture import Capture
    from migemu.lab.replay import Played

MOST = 64 << 20
"""Bytes of a return path that are looked through: it carries answers, not data."""


def recorded_digests(capture: Capture) -> dict[str, Any] | None:
    """What the destination said it had loaded when this was recorded; None when it never did."""
    if RETURN not in capture.files:
        return None
    reader, parts = ReturnPathReader(), extension.PartsReader()
    with capture.files.open(RETURN) as file:
        try:
            for message in reader.feed(file.read(MOST)):
                whole = parts.feed(message.data) if message.type == returnpath.LOADED else None
                if whole is not None:
                    return decode_object(whole, "the recorded digests")
        except MigemuError:
            return None
    return None


@dataclass(frozen=True)
class Verdict:
    """What a person is told.

    Attributes:
        same: the destination loaded what it loaded then; None when that cannot be known.
    """

    played: Played | None
    same: bool | None

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        if self.played is None:
            return {"packets": 0, "bytes": 0, "answers": {}, "same": self.same}
        counts = {"packets": self.played.packets, "bytes": self.played.bytes}
        return {**counts, "answers": dict(self.played.answers), "same": self.same}

    def lines(self) -> list[str]:
        """As lines."""
        said = self.plain()
        answers = ", ".join(f"{name} {count}" for name, count in said["answers"].items()) or "none"
        return [
            f"replayed        {said['packets']} packets, {said['bytes']} bytes",
            f"answers         {answers}",
            f"loaded          {_LOADED[self.same]}",
        ]


_LOADED = {
    True: "the same as when this was recorded: every digest agrees",
    False: "NOT what was loaded when this was recorded",
    None: "nothing to compare with: no digests then, or none now",
}


def told(played: Played | None, recorded: dict[str, Any] | None) -> Verdict:
    """The verdict on what was played."""
    now = None if played is None else played.loaded
    known = now is not None and recorded is not None
    return Verdict(played, now == recorded if known else None)
