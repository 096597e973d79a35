"""What both sides must agree on before anything is loaded: the machine type and the hand-off.

QEMU compares the machine type only (CONFIGURATION) and calls a mismatch an error, whatever the two types
are: there is no migration between two of them. The hand-off is migemu's own business, so the source says in
its announcement which one it will act out; a source that does not say (a QEMU) is taken at its word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import WireError
from migemu.handoff.machine_types import machine_type

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "handoff="


def feature(handoff: str) -> str:
    """How an announcement names the hand-off among its features."""
    return f"{PREFIX}{handoff}"


def same_machine(theirs: str, ours: str) -> None:
    """Compare the stream's machine type with this side's; ``pc-q35-10.0`` and ``10.0`` are the same.

    Raises:
        WireError: they differ.
    """
    if machine_type(theirs).version != machine_type(ours).version:
        raise WireError(
            f"the stream is of machine type {theirs}, this side is {ours}: give both sides the same machine",
            channel="main",
        )


def same_handoff(features: Iterable[str], ours: str) -> None:
    """Compare the hand-off that the source announced with this side's.

    Raises:
        WireError: they differ.
    """
    said = [name.removeprefix(PREFIX) for name in features if name.startswith(PREFIX)]
    if said and said[0] != ours:
        raise WireError(
            f"the source runs hand-off {said[0]}, this side {ours}: give both the same handoff and machine",
            channel="main",
        )


def same_vm(theirs: bytes | None, ours: bytes | None) -> None:
    """Compare the uuid that the stream says, where it says one, with this side's.

    Raises:
        WireError: they differ.
    """
    if None not in (theirs, ours) and theirs != ours:
        raise WireError("the stream is of another VM: its uuid is not this side's", channel="main")
