"""Placeholder types until real runs are here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Real:
    """How two real processes are driven into a bug."""
