"""A destination per story: its threads end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from handoff.harness import Destination, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.handoff.base import Handoff


@pytest.fixture
def destination() -> Iterator[Callable[..., Destination]]:
    """Makes destinations that have begun."""
    made: list[Destination] = []

    def make(design: str | type[Handoff], **setting: Any) -> Destination:
        one = Destination(design, Setting(**setting))
        made.append(one)
        one.begin()
        return one

    yield make
    for one in made:
        one.close()
