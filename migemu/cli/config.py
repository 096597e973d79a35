"""``migemu config``: start, check and describe scenario files."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import click

from migemu.errors import UsageError
from migemu.scenario import default_text, describe, dump_toml, json_schema, load


@click.group()
def config() -> None:
    """Start, check and describe scenario files."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default="migemu.toml")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def init(file: Path, *, force: bool) -> None:
    """Write a commented scenario to FILE.

    FILE is migemu.toml if left out; - prints it. It is the scenario that runs without a file.
    """
    if str(file) == "-":
        click.echo(default_text(), nl=False)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8") as target:
            target.write(default_text())
    except FileExistsError:
        raise UsageError(f"{file} is there already; --force replaces it") from None
    except OSError as error:
        if not force:  # what is left of it would be there already the next time
            with suppress(OSError):
                file.unlink()
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
    click.echo(f"{file}: written; migemu run {file}")


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a value over the file.")
@click.option(
    "--side",
    type=click.Choice(["source", "destination"]),
    help="Look only at the files that this side needs.",
)
@click.option("--effective", is_flag=True, help="Print the whole scenario, defaults and overrides included.")
def check(file: Path, overrides: tuple[str, ...], side: str | None, *, effective: bool) -> None:
    """Check FILE; say in a line what it is, or what is wrong."""
    scenario = load(file, overrides=overrides, side=side)  # type: ignore[arg-type] # click made it one of two
    click.echo(dump_toml(scenario) if effective else f"{file}: ok, {describe(scenario)}", nl=not effective)


@config.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))
