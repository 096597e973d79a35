"""The command line: one word a verb, each a thin call.

Exit codes: 0 done and verified; 1 the migration or a check failed; 2 usage or configuration.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from migemu import __version__
from migemu.errors import MigemuError

VERBS = {
    "run": "migemu.cli.run:run",
    "source": "migemu.cli.sides:source",
    "destination": "migemu.cli.sides:destination",
    "config": "migemu.cli.config:config",
    "probe": "migemu.cli.probe:probe",
    "join": "migemu.cli.join:join_sides",
    "compare": "migemu.cli.compare:compare",
    "sweep": "migemu.cli.sweep:sweep",
    "explore": "migemu.cli.explore:explore",
    "bugs": "migemu.cli.bugs:bugs",
    "campaign": "migemu.cli.campaign:campaign",
    "report": "migemu.cli.report:report",
    "trace": "migemu.cli.trace:trace",
    "netns": "migemu.cli.netns:netns",
    "host": "migemu.cli.host:host",
    "at": "migemu.cli.at:at",
    "qemu": "migemu.cli.qemu:qemu",
    "tap": "migemu.cli.tap:tap",
    "cancel": "migemu.cli.cancel:cancel",
    "tls": "migemu.cli.tls:tls",
    "replay": "migemu.cli.replay:replay",
    "decode": "migemu.cli.decode:decode",
}
"""Verb to where it lives; loaded when used, so that a probe does not pay for a report."""


class Verbs(click.Group):
    """Loads a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Every verb, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        module, _, name = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
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
    from migemu.observe import logs  # noqa: PLC0415  not needed by --help

    logs.configure(log_level)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors print as one line each and set the exit code."""
    try:
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
        sys.stderr.close()
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
