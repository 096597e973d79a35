"""Where finished shards are kept, so that a campaign goes on where it was.

A folder::

    campaign.json                   what is done (migemu.campaign/1)
    shard-FIRST-COUNT.json          one report for each finished shard
    report.json                     all of them merged

Several processes or machines may share one: a file is replaced as a whole, and two that do the same shard
write the same report.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

from migemu.errors import MigemuError, UsageError
from migemu.lab.campaign.plan import read
from migemu.lab.campaign.work import empty_report, merge

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.lab.campaign.plan import Campaign

CAMPAIGN = "campaign.json"
REPORT = "report.json"


class Memory:
    """The merged report and nothing else: for a campaign that nobody wanted kept."""

    def __init__(self, campaign: Campaign) -> None:
        self.raw = campaign.raw
        self.report = empty_report(campaign.raw)

    def add(self, report: dict[str, Any]) -> None:
        """A shard is finished."""
        self.report = merge(self.raw, self.report, report)

    def settle(self) -> None:
        """There is nowhere to write."""


class Folder(Memory):
    """A campaign's folder, made or found.

    Args:
        path: of the folder.
        campaign: the whole of what is to be done.
        part: of the campaign; shards that have nothing to do with it are left alone.

    Raises:
        UsageError: it holds another campaign, or cannot be used.
    """

    def __init__(self, path: Path, campaign: Campaign, part: Campaign | None = None) -> None:
        super().__init__(campaign)
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot use {path}: {error.strerror}") from None
        if (path / CAMPAIGN).exists() and read(path / CAMPAIGN).key != campaign.key:
            raise UsageError(f"{path} holds another campaign; choose another --out")
        _write(path / CAMPAIGN, campaign.as_dict())
        for file in sorted(path.glob("shard-*.json")):
            report = read_report(file)
            if part is None or any(part.touches(first, end) for first, end in report["ranges"]):
                super().add(report)

    def add(self, report: dict[str, Any]) -> None:
        """Keep a finished shard: from here on it need not be done again."""
        super().add(report)
        for first, end in report["ranges"]:
            _write(self.path / f"shard-{first:012}-{end - first:09}.json", report)

    def settle(self) -> None:
        """Write down what all shards say together."""
        _write(self.path / REPORT, self.report)


def read_report(path: Path) -> dict[str, Any]:
    """A kept report.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        ranges = [[int(first), int(end)] for first, end in report["ranges"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is no report ({error}); remove it, and its shard is run again") from None
    return {**report, "ranges": ranges}


def _write(path: Path, told: dict[str, Any]) -> None:
    """Replace a file as a whole: a kill leaves the old one, the new one, or none."""
    new = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        new.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise MigemuError(f"cannot write {path}: {error.strerror}") from None
