"""What several tests of this room need."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click
import pytest

from migemu.cli import cli

Parse = Callable[[Sequence[str]], click.Context]


@pytest.fixture
def parse() -> Parse:
    """The program's own parser: the verb's context with its parameters read; nothing is run."""

    def read(words: Sequence[str]) -> click.Context:
        top = click.Context(cli, info_name="migemu")
        name, verb, rest = cli.resolve_command(top, list(words))
        assert verb is not None
        return verb.make_context(name, rest, parent=top)

    return read
