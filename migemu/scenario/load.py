"""Reading a scenario: command line over environment over file over defaults."""

from __future__ import annotations

import os
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migemu.errors import ConfigError
from migemu.scenario.dump import to_tables
from migemu.scenario.expand import expand
from migemu.scenario.overrides import apply, command_line, environment
from migemu.scenario.reading import Origin, build
from migemu.scenario.tls import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migemu.scenario.model import Scenario
    from migemu.scenario.names import Side

_PATHS = ("state", "config", "keep")
_TLS_PATHS = ("dir", *NAMES)
_LARGEST = 4 * 1024**2
"""Bytes of the largest scenario file: hundreds of times what 64 devices need."""


def load(
    path: Path | str | None = None,
    *,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    side: Side | None = None,
) -> Scenario:
    """Read a scenario file; relative paths in it start at its folder.

    Args:
        path: a TOML file; None for the embedded default.
        overrides: values of ``--set``, ``key=value``; relative paths in them start at the current folder.
        environ: environment variables; None for this process's.
        side: whose files must be there: the source's, the destination's, or with None both.

    Raises:
        ConfigError: the file or an override is wrong; one line for each thing.
    """
    if path is None:
        return default(overrides=overrides, environ=environ, side=side)
    path = Path(path)
    base = path.absolute().parent
    tables = _parse(_text(path), str(path))
    tables.setdefault("name", _name(path))
    return _layered(tables, Origin(str(path)), base, overrides=overrides, environ=environ, side=side)


def loads(
    text: str,
    source: str = "scenario",
    *,
    base: Path | None = None,
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
    side: Side | None = None,
) -> Scenario:
    """Read a scenario from TOML text.

    Args:
        text: TOML.
        source: what errors call it.
        base: where relative paths start; None for the current folder.
        overrides: as for `load`.
        environ: as for `load`.
        side: as for `load`.

    Raises:
        ConfigError: the text or an override is wrong; one line for each thing.
    """
    start = Path.cwd() if base is None else base.absolute()
    return _layered(
        _parse(text, source), Origin(source), start, overrides=overrides, environ=environ, side=side
    )


def default(
    *, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None, side: Side | None = None
) -> Scenario:
    """The scenario that runs without a file.

    Raises:
        ConfigError: an override is wrong.
    """
    return loads(default_text(), "default.toml (embedded)", overrides=overrides, environ=environ, side=side)


def default_text() -> str:
    """The embedded default with its comments, a start for a file of one's own."""
    return resources.files("migemu.scenario").joinpath("default.toml").read_text(encoding="utf-8")


def with_overrides(scenario: Scenario, overrides: Iterable[str], *, side: Side | None = None) -> Scenario:
    """The same scenario with some values changed, as a sweep or a study does.

    Args:
        scenario: what to start from; it stays as it is.
        overrides: as for `load`.
        side: as for `load`.

    Raises:
        ConfigError: an override is wrong, or cannot be combined with the rest.
    """
    tables = to_tables(scenario)
    return _layered(tables, Origin(scenario.name), Path.cwd(), overrides=overrides, environ={}, side=side)


def _layered(
    tables: dict[str, Any],
    origin: Origin,
    base: Path,
    *,
    overrides: Iterable[str],
    environ: Mapping[str, str] | None,
    side: Side | None,
) -> Scenario:
    _anchor(tables, base)
    origin.tables, problems = expand(tables)
    for layer in (environment(os.environ if environ is None else environ), command_line(overrides)):
        origin.said |= apply(tables, layer)
    origin.follow(tables.get("device"))
    _anchor(tables, Path.cwd())
    return build(tables, origin, side=side, problems=problems)


def _name(path: Path) -> str:
    """What reports call a scenario that does not say: the file's name, as far as it is text."""
    stem = path.stem.encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in stem)[:200]


def _text(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path}: larger than {_LARGEST >> 20} MiB; is this a scenario?")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"cannot read {path}: no such file; migemu config init {path} writes one") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{path}: not UTF-8 text; a scenario is a TOML file") from None


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not valid TOML: nested too deeply") from None


def _anchor(tables: dict[str, Any], base: Path) -> None:
    """Make relative paths absolute, in place; what is not text is left for the models to refuse."""
    ram, tls, devices = (tables.get(name) for name in ("ram", "tls", "device"))
    for table in [ram, tls, *(devices if isinstance(devices, list) else [])]:
        for key in ("file",) if table is ram else _TLS_PATHS if table is tls else _PATHS:
            value = table.get(key) if isinstance(table, dict) else None
            if isinstance(value, str) and value and "\0" not in value:
                table[key] = str(base / os.path.expanduser(value))  # noqa: PTH111 # pathlib raises without a home
