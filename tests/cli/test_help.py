"""What a person sees first: every verb says what it does, and says it at once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click

from migemu.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = {"numpy", "pydantic", "rich", "structlog", "uvloop", "asyncio"}
LOADED = "import sys; from migemu.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"

THREADS = """
import os
from migemu.cli import main
try:
    main(["config", "check", "-"])
finally:
    import numpy
    print("threads", len(os.listdir("/proc/self/task")))
"""


def commands(command: click.Command, path: str = "migemu") -> Iterator[click.Context]:
    """`command` and all below it."""
    context = click.Context(command, info_name=path, max_content_width=80, terminal_width=80)
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


def test_the_list_of_verbs_comes_without_loading_any() -> None:
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert "Commands:" in ended.stdout
    assert HEAVY.isdisjoint(ended.stdout.splitlines()[-1].split())


def test_a_process_does_not_begin_with_threads_for_algebra() -> None:
    """One for each core, of which each spins for a while before it sleeps."""
    ended = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[-1] == "threads 1"


def test_every_option_says_what_it_is_for_and_what_it_takes() -> None:
    silent = [
        f"{context.info_name} {option.opts[0]}"
        for context in commands(cli)
        for option in context.command.params
        if isinstance(option, click.Option)
        and (not option.help or option.make_metavar(context) in {"TEXT", "INTEGER RANGE", "FLOAT RANGE"})
    ]
    assert silent == []


def test_no_verb_is_cut_short_in_a_list() -> None:
    for context in commands(cli):
        if isinstance(context.command, click.Group):
            listed = context.get_help().partition("Commands:")[2].splitlines()
            assert [line for line in listed if line.endswith("...") or len(line) > 80] == []
