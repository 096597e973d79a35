"""What only runs in virtual time have: costs that a real machine adds by itself.

Runs over sockets take no notice: their locks, processors and devices have costs and jitter of their own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from migemu.scenario.order import Sparse
from migemu.scenario.quantity import Time  # noqa: TC001  pydantic looks at it

Spread = Annotated[float, Field(ge=0, le=3)]


class Jitter(Sparse):
    """By how much modelled times vary: the standard deviation of each as a part of its mean.

    The times are log-normal, so that none is negative and the mean stays what the scenario says. Draws
    follow from the scenario's seed, each device, channel and lock having its own row of them: a design
    meets the same devices as every other.
    """

    link: Spread = 0.0
    """Time each packet takes on the link, and its delay."""
    read: Spread = 0.0
    """Time each read of a source device takes."""
    write: Spread = 0.0
    """Time each write into a destination device takes."""
    transition: Spread = 0.0
    """Time each change of a device's state takes."""
    config: Spread = 0.0
    """Time each save and load of a config state takes."""
    lock: Spread = 0.0
    """Time each hold of a lock takes, on top of what is done under it; see lock_hold."""

    def any(self) -> bool:
        """Whether anything varies."""
        return any(getattr(self, name) for name in type(self).model_fields)


class Virtual(Sparse):
    """Costs of runs in virtual time; runs over sockets take no notice of them."""

    lock_hold: Time = 0.0
    """Time every hold of a lock takes, on top of what is done under it: processors are not modelled."""
    jitter: Jitter = Jitter()
    """By how much modelled times vary."""
