"""``--budget``: how long an exploration may go on, as people write it."""

from __future__ import annotations

from migemu.errors import ConfigError, UsageError
from migemu.lab.explore import Budget
from migemu.scenario import parse_time

SHORT = "60 s"


def parse_budget(text: str) -> Budget:
    """Read ``20000``, ``60 s``, or both with a comma between: schedules, and time of this machine's clock.

    Raises:
        UsageError: it is neither.
    """
    schedules: int | None = None
    seconds: float | None = None
    for part in (part.strip() for part in text.split(",")):
        number = part.removesuffix("schedules").strip().replace("_", "")
        if number.isdigit() and int(number):
            schedules = int(number)
            continue
        try:
            seconds = parse_time(part)
        except ConfigError as error:
            told = 'write a number of schedules, a time, or both: "20000", "60 s", or "20000, 60 s"'
            raise UsageError(f"--budget {text!r}: {told}") from error
    return Budget(schedules, seconds)
