"""The command line: one word a verb, each a thin call.

Exit codes: 0 done and verified; 1 the migration or a check failed; 2 usage or configuration.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from contextlib import suppress
from typing import Any

import click

from migemu import __version__
from migemu.cli.interrupted import terminated_as_interrupted
from migemu.errors import MigemuError

VERBS = {
    "run": ("migemu.cli.run:run", "Migrate between two processes on this machine."),
    "source": ("migemu.cli.sides:source", "Be the source of a migration, by hand."),
    "destination": ("migemu.cli.sides:destination", "Be the destination of a migration, by hand."),
    "config": ("migemu.cli.config:config", "Start, check and describe scenario files."),
    "probe": ("migemu.cli.probe:probe", "Ask whether a destination is ready."),
    "join": ("migemu.cli.join:join_sides", "Make one result of what the two sides kept."),
    "compare": ("migemu.cli.compare:compare", "Compare the downtimes of several hand-off designs."),
    "sweep": ("migemu.cli.sweep:sweep", "Migrate over a grid of settings; how many channels?"),
    "explore": ("migemu.cli.explore:explore", "Search the orders of events for one that breaks it."),
    "bugs": ("migemu.cli.bugs:bugs", "The catalogue of ordering bugs; find them again."),
    "campaign": ("migemu.cli.campaign:campaign", "Explore or sweep in shards, on any machines."),
    "report": ("migemu.cli.report:report", "Write the HTML report of what --out kept."),
    "trace": ("migemu.cli.trace:trace", "Write a run that --out kept as a trace for Perfetto."),
    "netns": ("migemu.cli.netns:netns", "Run, compare or sweep over a veth between namespaces."),
    "host": ("migemu.cli.host:host", "Lend this machine to `migemu at` for destinations."),
    "at": ("migemu.cli.at:at", "Run, compare or sweep to where `migemu host` listens."),
    "qemu": ("migemu.cli.qemu:qemu", "Use a real QEMU, with VFIO devices without hardware."),
    "tap": ("migemu.cli.tap:tap", "Pass a migration on, and tell what went by."),
    "cancel": ("migemu.cli.cancel:cancel", "End a migration that runs on this machine."),
    "tls": ("migemu.cli.tls:tls", "Make certificates to try encrypted channels with."),
    "replay": ("migemu.cli.replay:replay", "Play a recorded migration, or a schedule, again."),
    "decode": ("migemu.cli.decode:decode", "Print what went over the wire, packet by packet."),
}
"""Verb to where it lives, loaded when used, so that a probe does not pay for a report; and what --help says
of it, in a line that fits 80 columns."""


class Verbs(click.Group):
    """Loads a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Every verb, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that `args` begin with; of a slip of the finger, what was probably meant."""
        if not ctx.resilient_parsing and args[0] not in VERBS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(VERBS)}"
            raise click.UsageError(f"no such command {args[0]!r}; {meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """The verbs in a line each, out of the table: none is loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, short) for verb, (_, short) in VERBS.items()])


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done and verified; 1 the migration or a check failed; 2 usage or configuration.",
)
@click.version_option(__version__, prog_name="migemu")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What the program says of itself on stderr.",
)
def cli(log_level: str) -> None:
    """A live-migration laboratory: VFIO device state over QEMU's multifd wire."""
    if log_level == "warning":  # what it is anyway; the library would cost every start its import
        return
    from migemu.observe import logs  # noqa: PLC0415

    logs.configure(log_level)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors print as one line each and set the exit code."""
    # Nothing here uses numpy's linear algebra, whose threads, one a core, would spin for a while first.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        with terminated_as_interrupted():
            code: Any = cli.main(args=arguments, prog_name="migemu", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("migemu: interrupted", err=True)
        code = 1
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except MigemuError as error:
        for line in str(error).splitlines():
            click.echo(f"migemu: {line}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        _drop_output()
        code = 1
    except OSError as error:  # of a file it is a MigemuError by now; this was standard output
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"migemu: {where}{error.strerror or error}", err=True)
        _drop_output()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _drop_output() -> None:
    """Nobody reads it, or it has no room: what is still buffered must not fail once more at the very end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
