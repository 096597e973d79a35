from __future__ import annotations

import pytest

from observe.story import Story


@pytest.fixture
def story() -> Story:
    """A migration that went well."""
    return Story().tell()


@pytest.fixture
def untold() -> Story:
    """The same, of which nothing has happened yet."""
    return Story()
