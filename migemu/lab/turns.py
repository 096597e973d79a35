"""A schedule as the turns that real processes can be made to take: what arrives, what is acted on, in order.

Of everything a controlled run does, only its events have a counterpart on real threads: a packet arrives,
the incoming thread obeys a command, a load thread writes a buffer. Their order is kept; what happens between
two of them is left to the machine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import UsageError
from migemu.lab.words import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from migemu.lab.explore import Narrative
    from migemu.threads.controlled_trace import Decision

ARRIVES: Final = "multifd_recv_packet"
OBEYS: Final = "loadvm_process_command"
LOADER_BEGINS: Final = "vfio_load_bufs_thread_start"
WRITES: Final = "vfio_load_state_device_buffer_load_start"
CONFIG_BEGINS: Final = "vfio_load_device_config_state_start"
CONTROLLER: Final = "interrupt_controller_loaded"
BROKEN: Final = "invariant"
BRINGS: Final = "main_channel_brings"
INCOMING: Final = "incoming"
"""The incoming thread's name."""

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    ARRIVES: ("device", "idx"),
    OBEYS: ("command",),
    LOADER_BEGINS: ("device",),
    WRITES: ("device", "idx"),
    "vfio_load_state_device_buffer_load_end": ("device", "idx"),
    CONFIG_BEGINS: ("device",),
    "vfio_load_device_config_state_end": ("device",),
    CONTROLLER: (),
    BROKEN: ("name", "device"),
}
"""Events whose order is kept, with the fields that tell two of a kind apart. The same code says them in a
controlled run and in a real one."""


@dataclass(frozen=True)
class Beat:
    """One turn: an event, and which of its kind."""

    event: str
    fields: tuple[tuple[str, str], ...]
    nth: int
    """Counts those that are alike, from 1."""
    thread: str
    channel: int | None = None
    """On which multifd channel it comes."""

    def get(self, name: str) -> str:
        """A field; empty where it has none of that name."""
        return dict(self.fields).get(name, "")


@dataclass(frozen=True)
class Turns:
    """A schedule's beats, and where between them the main channel brings something."""

    beats: tuple[Beat, ...]
    brings: tuple[tuple[str, int], ...]
    """What is brought, and how many beats are before it."""

    def place(self, event: str, **fields: str) -> int | None:
        """How many beats are before the first one of this kind; None when there is none."""
        wanted = set(fields.items())
        fits = (n for n, beat in enumerate(self.beats) if beat.event == event and wanted <= set(beat.fields))
        return next(fits, None)


def key_of(event: str, fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """What tells an event from others of its kind; None for an event whose order is not kept."""
    names = KEYS.get(event)
    if names is None or (event == ARRIVES and str(fields.get("kind")) != "device"):
        return None
    if event == BROKEN and str(fields.get("ok")) != "False":
        return None
    return tuple((name, str(fields.get(name, ""))) for name in names)


def turns_of(told: Narrative) -> Turns:
    """The beats of a schedule.

    Raises:
        UsageError: it needs a fault that no real process can be told to have.
    """
    _refuse_faults(told.decisions)
    seen: Counter[tuple[str, Any]] = Counter()
    beats: list[Beat] = []
    brings: list[tuple[str, int]] = []
    for thread, event, fields in _events(told):
        if event == BRINGS:
            brings.append((fields["what"], len(beats)))
        key = key_of(event, fields)
        if key is not None:
            seen[event, key] += 1
            channel = int(fields["channel"]) if event == ARRIVES else None
            beats.append(Beat(event, key, seen[event, key], thread, channel))
    return Turns(tuple(beats), tuple(brings))


def _events(told: Narrative) -> Iterator[tuple[str, str, dict[str, str]]]:
    for step in told.steps:
        for note in step.notes:
            event, _, rest = note.partition(" ")
            yield step.thread, event, fields_of(rest)


def _refuse_faults(decisions: tuple[Decision, ...]) -> None:
    faults = [one.menu[one.choice] for one in decisions if one.choice and one.menu[0].startswith("no ")]
    if faults:
        raise UsageError(
            f"on real sockets a schedule's order is repeated, not its faults; this one needs: {faults[0]}"
        )
