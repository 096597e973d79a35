"""Ctrl-C and SIGTERM: either ends a verb in good order, which puts away what it has begun."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

EXIT_CODE = 130
"""As a shell reports a program that Ctrl-C ended."""


NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM is what Ctrl-C is: processes that were started are ended, and what was found is kept.

    A verb on an event loop has handlers of its own meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Interrupted:
    """True once Ctrl-C was pressed during an exploration: the schedule under way is finished.

    The second time ends the program where it is.
    """

    def __init__(self) -> None:
        self._heard = False

    def __call__(self) -> bool:
        """Whether it was pressed."""
        return self._heard

    def _hear(self, _number: int, _frame: object) -> None:
        self._heard = True
        for number in NUMBERS:
            signal.signal(number, signal.default_int_handler)

    def __enter__(self) -> Self:
        self._before: Any = [signal.signal(number, self._hear) for number in NUMBERS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in zip(NUMBERS, self._before, strict=True):
            signal.signal(number, before)
