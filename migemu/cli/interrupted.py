"""Ctrl-C during an exploration: the schedule under way is finished, then what was found so far is told."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

EXIT_CODE = 130
"""As a shell reports a program that Ctrl-C ended."""


class Interrupted:
    """True once Ctrl-C was pressed; the second time ends the program where it is."""

    def __init__(self) -> None:
        self._heard = False

    def __call__(self) -> bool:
        """Whether it was pressed."""
        return self._heard

    def _hear(self, _number: int, _frame: object) -> None:
        self._heard = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __enter__(self) -> Self:
        self._before: Any = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
