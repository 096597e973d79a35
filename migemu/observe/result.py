"""The result of a run, computed from its events alone.

Works with what there is: when a side died its figures are missing, not wrong, and the reasons say so.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from migemu.errors import UsageError
from migemu.observe import figures, invariants
from migemu.observe.checks import Run
from migemu.observe.devices import device_result
from migemu.observe.index import SIDES, Index
from migemu.observe.join import clock
from migemu.observe.model import Result, ScenarioRecord, Versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from migemu.observe.events import Event

Runnable = Literal["source", "destination", "both", "none", "unknown"]


@dataclass(frozen=True)
class RunEnd:
    """How the processes of a run ended, which no event can tell."""

    exit_code: int = 0
    """Of the run as a whole."""
    reasons: tuple[str, ...] = ()
    """What is known beyond the ``error`` events, for example that a process was killed."""
    exits: Mapping[str, int | None] = field(default_factory=dict)
    """Exit code per side; None for one that had to be ended from outside. A side not in it is elsewhere."""


def build_result(
    events: Sequence[Event], scenario: Mapping[str, Any], end: RunEnd, *, scenario_hash: str = ""
) -> Result:
    """The result of a run.

    Args:
        events: joined by :func:`migemu.observe.join.join`, or one side's.
        scenario: the effective scenario as JSON-able values.
        end: how the processes ended.
        scenario_hash: names the scenario in comparisons.
    """
    index = Index(events)
    devices = tuple(device_result(index, name) for name in device_names(index, scenario))
    verified = figures.verification(index)
    checks = invariants.check(Run(index, scenario, devices, verified, end.exits))
    reasons = _reasons(index, end, [check.line() for check in checks if check.ok is False])
    failed = bool(end.exit_code or reasons)
    return Result(
        verdict="failed" if failed else "completed",
        reasons=tuple(reasons),
        exit_code=end.exit_code or int(failed),
        scenario=ScenarioRecord(
            name=str(scenario.get("name", "")), hash=scenario_hash, effective=dict(scenario)
        ),
        versions=versions(),
        seed=scenario.get("seed"),
        handoff=_handoff(index, scenario),
        dilation=float(scenario.get("dilation", 1.0)),
        times=figures.times(index, clock(events).error),
        ram=figures.ram(index),
        devices=devices,
        channels=figures.channels(index),
        bql=figures.bql(index),
        throughput=figures.throughput(index, devices),
        verification=verified,
        invariants=checks,
        runnable=runnable(index),
        suppressed_events=index.suppressed,
        missing=tuple(side for side in SIDES if side not in index.sides()),
    )


def _handoff(index: Index, scenario: Mapping[str, Any]) -> str:
    """The hand-off that ran: the one asked for, unless the machine type has another in its place."""
    replaced = index.first("handoff_replaced")
    return str(scenario.get("handoff", "") if replaced is None else replaced.get("handoff"))


def device_names(index: Index, scenario: Mapping[str, Any]) -> list[str]:
    """Section ids: the scenario's devices in its order, then any other that events name."""
    asked = [f"{device['id']}/vfio" for device in scenario.get("device", []) if device.get("id")]
    return list(dict.fromkeys([*asked, *index.devices()]))


def runnable(index: Index) -> Runnable:
    """Which side's VM may run, by each side's last word."""
    last = {event.side: bool(event.get("runnable")) for event in index.of("vm_state")}
    if not last:
        return "unknown"
    able = [side for side in SIDES if last.get(side)]
    if len(able) > 1:
        return "both"
    if not able:
        return "none" if len(last) > 1 else "unknown"
    return "source" if able == ["source"] else "destination"


def _reasons(index: Index, end: RunEnd, broken: list[str]) -> list[str]:
    """Why it failed, first cause first, each once."""
    errors = [_error_line(event) for event in index.of("error")]
    return list(dict.fromkeys([*errors, *end.reasons, *broken]))


def _error_line(event: Event) -> str:
    """An error's message already names its place; the side is added when it does not."""
    message = str(event.get("message", "unknown error"))
    return message if event.side in message else f"{event.side}: {message}"


def versions() -> Versions:
    """What runs here."""
    return Versions(
        migemu=_version("migemu") or "unknown",
        python=platform.python_version(),
        uvloop=_version("uvloop"),
        kernel=f"{platform.system()} {platform.release()}",
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def save(result: Result, path: str | Path) -> None:
    """Write ``result.json``."""
    text = json.dumps(result.model_dump(mode="json"), indent=2, default=str)
    Path(path).write_text(f"{text}\n", encoding="utf-8")


def load(path: str | Path) -> Result:
    """Read ``result.json``.

    Raises:
        UsageError: it cannot be read, or is not a result of this schema.
    """
    try:
        return Result.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the result {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise UsageError(f"{path} is not a result of this version: {place}: {first['msg']}") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``result.json``."""
    return Result.model_json_schema(by_alias=True, mode="serialization")
