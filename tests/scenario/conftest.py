"""What the scenario tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import ConfigError
from migemu.scenario import loads

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def wrong() -> Callable[..., list[str]]:
    """Load TOML that must be refused, and give the lines of the error."""

    def lines(text: str, *overrides: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loads(text, "it.toml", overrides=overrides, environ=environ)
        assert caught.value.exit_code == 2
        return str(caught.value).split("\n")

    return lines
