"""Where the two processes of a verb run: on loopback, unless the verb it stands under says otherwise."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from migemu.scenario import Side


@dataclass(frozen=True, slots=True)
class Place:
    """What the processes are started with."""

    listen: str = "127.0.0.1:0"
    """Where the destination listens; the source connects to what it then says."""
    insecure: bool = False
    """Whether others than the source could connect there, as far as the address tells."""
    enter: Mapping[Side, Sequence[str]] = field(default_factory=dict)
    """Words before a side's command, which put it where it belongs."""


@runtime_checkable
class Places(Protocol):
    """A verb that puts the two processes somewhere, as its context's object."""

    def place(self) -> AbstractContextManager[Place]:
        """Make the place; it is gone when the block ends."""
        ...


def placed() -> AbstractContextManager[Place]:
    """The place that an outer verb makes, else loopback."""
    context = click.get_current_context(silent=True)
    outer = context.find_object(Places) if context is not None else None  # type: ignore[type-abstract]  # isinstance is all it does
    return nullcontext(Place()) if outer is None else outer.place()
