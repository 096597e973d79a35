"""A real destination with parts exchanged: what a bug's broken variant is on sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.destination.session import Session

if TYPE_CHECKING:
    from migemu.destination.core import Core
    from migemu.destination.plan import Plan
    from migemu.lab.bugs.real import Run
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads


class MutantSession(Session):
    """A destination whose core and reception are those of a variant.

    Args:
        run: the variant.
        scenario: already dilated.
        threads: the concurrency seam.
    """

    def __init__(self, run: Run, scenario: Scenario, threads: Threads) -> None:
        self._run = run
        super().__init__(scenario, threads)
        if run.reception is not None:
            self._reception.__class__ = run.reception

    def _make_core(self, plan: Plan, kind: type[Core] | Any = None) -> Core:  # noqa: ARG002  the variant says
        parts = self._run.parts
        return super()._make_core(parts.put_into(plan), parts.core)
