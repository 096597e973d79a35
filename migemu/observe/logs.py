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
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from structlog.typing import FilteringBoundLogger, Processor

    from migemu.observe.events import Event

LEVELS = ("debug", "info", "warning", "error")
_chosen: list[str] = []


def configure(level: str = "warning", stream: TextIO | None = None) -> None:
    """Set up logging for this process; call it once, before the first logger speaks.

    Args:
        level: the least of LEVELS that is printed.
        stream: where to; stderr by default, because stdout belongs to results.
    """
    out = sys.stderr if stream is None else stream
    _chosen[:] = [level]
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


SAID: Final = {
    "error": "error",
    "connection_refused": "warning",
    "order_rule_fired": "warning",
    "listening": "info",
    "multifd_recv_new_channel": "info",
    "multifd_recv_channel_ended": "debug",
    "migrate_set_state": "info",
    "vfio_migration_set_device_state": "debug",
    "vfio_load_bufs_thread_end": "info",
    "vm_state": "info",
}
"""Events that a log tells as well, and how loudly; the event log has them all."""


def of_events(side: str) -> Callable[[Event], None]:
    """A subscriber that logs what `side` does, bound with the side, the channel and the device."""
    logger = get(side)

    def tell(event: Event) -> None:
        level = SAID.get(event.event)
        if level is not None:
            fields = {name: value for name, value in event.fields.items() if name not in {"side", "event"}}
            getattr(logger, level)(event.event, thread=event.thread, **fields)

    return tell


def wanted() -> bool:
    """Whether the level asks for more than the last words that every failure prints anyway."""
    return bool(_chosen and LEVELS.index(_chosen[-1]) < LEVELS.index("warning"))
