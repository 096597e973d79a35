"""Logs by structlog, to stderr: coloured lines on a terminal, one JSON object a line otherwise.

Events tell what the migration did; logs tell what the program has to say about itself. Every logger is
bound with its side, and with the channel or device it speaks of::

    log = logs.get("destination", channel=3)
    log.warning("connection refused", reason=str(error))
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from structlog.typing import FilteringBoundLogger, Processor

LEVELS = ("debug", "info", "warning", "error")


def configure(level: str = "warning", stream: TextIO | None = None) -> None:
    """Set up logging for this process; call it once, before the first logger speaks.

    Args:
        level: the least of LEVELS that is printed.
        stream: where to; stderr by default, because stdout belongs to results.
    """
    out = sys.stderr if stream is None else stream
    structlog.configure(
        processors=_processors(terminal=out.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,  # tests and a second configure() must take effect
    )


def _processors(*, terminal: bool) -> list[Processor]:
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True) if not terminal else _clock(),
    ]
    if terminal:
        colors = "NO_COLOR" not in os.environ
        return [*common, structlog.dev.ConsoleRenderer(colors=colors)]
    return [*common, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


def _clock() -> Processor:
    """On a terminal the time of day is enough."""
    return structlog.processors.TimeStamper(fmt="%H:%M:%S.%f", utc=False)


def get(side: str, **where: Any) -> FilteringBoundLogger:
    """A logger bound with its side and what is known of the place: channel, device, phase."""
    return cast("FilteringBoundLogger", structlog.get_logger().bind(side=side, **where))
