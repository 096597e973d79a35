"""One process's record of a migration: its event log, what it says while it runs, what it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import MigemuError, UsageError
from migemu.observe import events, result
from migemu.observe.join import join
from migemu.observe.result import RunEnd
from migemu.scenario import dump_toml, scenario_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from migemu.observe.events import Event
    from migemu.observe.model import Result
    from migemu.scenario import Scenario

EVENTS = "events.jsonl"
RESULT = "result.json"
CONFIG = "scenario.toml"
STUDY = "study.json"
"""Not of a run, but of many."""
PACKETS = "packets.txt"
"""Of a tap: every device packet that went by, a line each."""


class Recorder:
    """Keeps the events of one side.

    Args:
        side: ``source`` or ``destination``.
        scenario: as a person wrote it, before dilation.
        subscriber: told of every event that is not a detail, as it happens.
    """

    def __init__(
        self, side: str, scenario: Scenario, subscriber: Callable[[Event], None] | None = None
    ) -> None:
        self.side = side
        self.scenario = scenario
        self.log = events.EventLog(side, limit=scenario.limits.events, subscriber=subscriber)

    def result(self, error: MigemuError | None) -> Result:
        """What came of it, seen from this side."""
        own = self.log.events()
        pair = (own, []) if self.side == "source" else ([], own)
        code = error.exit_code if error else 0
        return make_result(self.scenario, join(*pair), RunEnd(exit_code=code, exits={self.side: code}))

    def save(self, folder: Path, error: MigemuError | None) -> None:
        """Keep events, result and effective scenario in `folder`.

        Raises:
            UsageError: it cannot be written there.
        """
        save(folder, self.scenario, self.log.events(), self.result(error))


def make_result(scenario: Scenario, joined: Sequence[Event], end: RunEnd) -> Result:
    """The result of joined events under `scenario`."""
    effective = scenario.model_dump(mode="json")
    return result.build_result(joined, effective, end, scenario_hash=scenario_hash(scenario))


def prepare(folder: Path, *, many: bool = False) -> Path:
    """Make `folder` before anything is run, so that a wrong path costs nothing.

    Args:
        folder: where results go.
        many: whether they are of a study, or of a run: the pages of one would take the place of the other's.

    Raises:
        UsageError: it cannot be made or written, or holds the other kind.
    """
    if (folder / (RESULT if many else STUDY)).exists():
        held = "a run" if many else "a study of many runs"
        raise UsageError(f"{folder} holds {held}, which this would mix with: choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".migemu-writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        why = "it is not a folder" if folder.exists() and not folder.is_dir() else error.strerror
        raise UsageError(f"cannot write to {folder}: {why}") from None
    return folder


def save(folder: Path, scenario: Scenario, told: Sequence[Event], outcome: Result) -> None:
    """Write the three files of a run.

    Raises:
        MigemuError: the disk does not take them.
    """
    save_with(folder, told, outcome, CONFIG, dump_toml(scenario))


def save_with(folder: Path, told: Sequence[Event], outcome: Result, name: str, text: str) -> None:
    """Write events and result, and beside them `text` as the file `name`.

    Raises:
        MigemuError: the disk does not take them.
    """
    try:
        events.write(folder / EVENTS, told)
        result.save(outcome, folder / RESULT)
        (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise MigemuError(f"the results could not be written to {folder}: {error.strerror}") from None
