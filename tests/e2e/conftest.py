"""A bench per story: processes it starts end with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.sides import SMALL, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    bench = Bench(tmp_path, config)
    yield bench
    for side in bench.sides:
        if side.process.poll() is None:
            side.process.kill()
        side.process.communicate()
