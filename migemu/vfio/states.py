"""The VFIO migration states and arcs, version 2, as data (Linux include/uapi/linux/vfio.h).

Two rules move a device:

1. A device takes *arcs*. ``ARCS`` lists every arc of the protocol; an arc that touches a state the device
   lacks (``NEEDS``) is not there.
2. A request for any other pair is a *combination transition*: the shortest path through the arcs of a device
   with every feature, its optional states then skipped. States of the saving group (``SAVING``) may be the
   ends of a path; they may be inside it only when the whole path stays in the group, because leaving and
   entering the group ends one data session and starts another. Hence ``PRE_COPY -> STOP_COPY`` passes
   ``PRE_COPY_P2P`` but ``PRE_COPY -> STOP`` passes ``RUNNING``.

Nobody may ask for ``ERROR``; from ``ERROR`` only a reset leads on, to ``RUNNING``. The arcs from
``STOP_COPY`` back into pre-copy are reserved by the uAPI and refused, although a path over ``STOP`` would
exist.
"""

from __future__ import annotations

import enum
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Final

from migemu.errors import DeviceStateError

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(enum.StrEnum):
    """``enum vfio_device_mig_state``; the value is the name people write."""

    ERROR = "ERROR"
    STOP = "STOP"
    RUNNING = "RUNNING"
    STOP_COPY = "STOP_COPY"
    RESUMING = "RESUMING"
    RUNNING_P2P = "RUNNING_P2P"
    PRE_COPY = "PRE_COPY"
    PRE_COPY_P2P = "PRE_COPY_P2P"

    @property
    def number(self) -> int:
        """The uAPI's number of this state."""
        return list(State).index(self)


class Feature(enum.Flag):
    """``VFIO_MIGRATION_*`` flags: what a device can do beyond ``RUNNING`` and ``ERROR``."""

    STOP_COPY = 1
    P2P = 2
    PRE_COPY = 4


ARCS: Final[Mapping[State, tuple[State, ...]]] = {
    State.STOP: (State.RUNNING_P2P, State.STOP_COPY, State.RESUMING),
    State.RUNNING: (State.RUNNING_P2P, State.PRE_COPY),
    State.STOP_COPY: (State.STOP,),
    State.RESUMING: (State.STOP,),
    State.RUNNING_P2P: (State.RUNNING, State.STOP, State.PRE_COPY_P2P),
    State.PRE_COPY: (State.RUNNING, State.PRE_COPY_P2P),
    State.PRE_COPY_P2P: (State.RUNNING_P2P, State.PRE_COPY, State.STOP_COPY),
    State.ERROR: (),
}
"""From a state to the states one arc away, for a device with every feature."""

NEEDS: Final[Mapping[State, Feature]] = {
    State.ERROR: Feature(0),
    State.STOP: Feature.STOP_COPY,
    State.RUNNING: Feature(0),
    State.STOP_COPY: Feature.STOP_COPY,
    State.RESUMING: Feature.STOP_COPY,
    State.RUNNING_P2P: Feature.STOP_COPY | Feature.P2P,
    State.PRE_COPY: Feature.STOP_COPY | Feature.PRE_COPY,
    State.PRE_COPY_P2P: Feature.STOP_COPY | Feature.P2P | Feature.PRE_COPY,
}
"""The features a device must have for a state to exist on it."""

REFUSED: Final = frozenset({(State.STOP_COPY, State.PRE_COPY), (State.STOP_COPY, State.PRE_COPY_P2P)})
"""Pairs with a path that the uAPI reserves for a later revision."""

SAVING: Final = frozenset({State.PRE_COPY, State.PRE_COPY_P2P, State.STOP_COPY})
"""The saving group: one data session, reads allowed."""

PRECOPYING: Final = frozenset({State.PRE_COPY, State.PRE_COPY_P2P})
"""The states in which an end of stream is temporary (ENOMSG) and VFIO_MIG_GET_PRECOPY_INFO is valid."""

LOADING: Final = frozenset({State.RESUMING})
"""The states in which the data fd takes writes."""

STOPPED: Final = frozenset({State.STOP, State.STOP_COPY, State.RESUMING})
"""The states in which the device does not change by itself, so that its PCI config is stable."""


def path(start: State, end: State, features: Feature) -> tuple[State, ...]:
    """The states a device enters, in order, to get from `start` to `end`; empty when it is there already.

    Args:
        start: where the device is.
        end: what was asked for.
        features: what the device can do.

    Raises:
        DeviceStateError: the device lacks `end`, nobody may ask for it, or no path leads there.
    """
    if end is State.ERROR or start is State.ERROR:
        raise DeviceStateError(_error_state(start, end))
    if not _has(end, features):
        raise DeviceStateError(f"this device has no state {end}: it lacks {NEEDS[end] & ~features!r}")
    steps = _shortest(start, end)
    if steps is None:
        raise DeviceStateError(f"the VFIO protocol has no way from {start} to {end}")
    return tuple(step for step in steps if _has(step, features))


def _error_state(start: State, end: State) -> str:
    if start is State.ERROR:
        return f"the device is in ERROR and refuses {end}: only a reset leads out"
    return "ERROR cannot be asked for: a device enters it by failing"


def _has(state: State, features: Feature) -> bool:
    return NEEDS[state] in features


@cache
def _shortest(start: State, end: State) -> tuple[State, ...] | None:
    """Breadth first over the arcs of a device with every feature."""
    if (start, end) in REFUSED:
        return None
    ways: deque[tuple[State, ...]] = deque([(start,)])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] is end:
            return way[1:]
        for step in ARCS[way[-1]]:
            if step not in seen and _may_pass(step, start, end):
                seen.add(step)
                ways.append((*way, step))
    return None


def _may_pass(step: State, start: State, end: State) -> bool:
    """Whether `step` may lie on a path: inside it, saving states only on a path within their group."""
    return step is end or step not in SAVING or (start in SAVING and end in SAVING)
